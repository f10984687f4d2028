/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What commands show: the fields of an answer and the columns of a list. Part of commands.c, which alone includes it.
 */
#pragma once

#include "ctl.h"

#include <glib/gi18n.h>

static const CtlField protocol_columns[] = {
    {"name", N_("Name")}, {"running", N_("Running")}, {"details", N_("Details")}, {"reason", N_("Reason")}, {NULL}};
static const CtlField setting_columns[] = {
    {"key", N_("Key")}, {"value", N_("Value")}, {"default", N_("Default")}, {"description", N_("Description")}, {NULL}};
static const CtlField daemon_columns[] = {{"program", N_("Program")},       {"state", N_("State")},
                                          {"pid", N_("Process")},           {"since", N_("Since"), CTL_AS_TIME},
                                          {"restarts", N_("Restarts")},     {"ports", N_("Ports")},
                                          {"last-error", N_("Last error")}, {NULL}};
static const CtlField status_fields[] = {{"version", N_("Version")},
                                         {"host", N_("Host")},
                                         {"domain", N_("Domain")},
                                         {"pid", N_("Process")},
                                         {"uptime", N_("Running for"), CTL_AS_DURATION},
                                         {"privileged", N_("Privileged")},
                                         {"state-dir", N_("State")},
                                         {"memory", N_("Memory"), CTL_AS_SIZE},
                                         {"workers", N_("Workers")},
                                         {"workers-idle", N_("Idle workers")},
                                         {"connections", N_("Connections")},
                                         {"connections-accepted", N_("Connections so far")},
                                         {"requests", N_("Requests so far")},
                                         {"modules", N_("Modules")},
                                         {"protocols", N_("Protocols"), CTL_AS_IS, protocol_columns},
                                         {"problems", N_("Problems")},
                                         {NULL}};
static const CtlField share_columns[] = {{"name", N_("Name")},           {"path", N_("Path")},
                                         {"sec", N_("Security")},        {"hosts", N_("Hosts"), CTL_OR_ALL},
                                         {"read-only", N_("Read only")}, {"enabled", N_("Enabled")},
                                         {"available", N_("Available")}, {NULL}};
static const CtlField share_fields[] = {{"name", N_("Name")},
                                        {"path", N_("Path")},
                                        {"pseudo", N_("Path for NFS")},
                                        {"sec", N_("Security")},
                                        {"usable-sec", N_("Usable now")},
                                        {"hosts", N_("Hosts"), CTL_OR_ALL},
                                        {"squash", N_("Squash")},
                                        {"anonymous-uid", N_("Anonymous uid")},
                                        {"anonymous-gid", N_("Anonymous gid")},
                                        {"read-only", N_("Read only")},
                                        {"enabled", N_("Enabled")},
                                        {"available", N_("Available")},
                                        {"sync-metadata", N_("Sync metadata")},
                                        {"access-based", N_("Access-based")},
                                        {"smb-encrypt", N_("SMB encrypted")},
                                        {"smb-bypass-traverse", N_("SMB bypasses traverse checks")},
                                        {"smb-short-names", N_("SMB short names")},
                                        {"store", N_("Store")},
                                        {"id", N_("Id")},
                                        {NULL}};
static const CtlField user_columns[] = {{"name", N_("Name")},         {"uid", N_("Uid")},
                                        {"gid", N_("Gid")},           {"source", N_("Source")},
                                        {"disabled", N_("Disabled")}, {"full-name", N_("Full name")},
                                        {"groups", N_("Groups")},     {NULL}};
static const CtlField user_fields[] = {{"name", N_("Name")},
                                       {"full-name", N_("Full name")},
                                       {"uid", N_("Uid")},
                                       {"gid", N_("Gid")},
                                       {"primary-group", N_("Primary group")},
                                       {"groups", N_("Groups")},
                                       {"source", N_("Source")},
                                       {"principal", N_("Principal")},
                                       {"disabled", N_("Disabled")},
                                       {"created", N_("Created"), CTL_AS_TIME},
                                       {NULL}};
static const CtlField group_columns[] = {{"name", N_("Name")}, {"gid", N_("Gid")}, {"members", N_("Members")}, {NULL}};
static const CtlField domain_columns[] = {{"realm", N_("Realm")}, {"name", N_("Name")}, {"sid", N_("SID")}, {NULL}};
static const CtlField sid_columns[] = {
    {"sid", N_("SID")}, {"kind", N_("Kind")}, {"name", N_("Name")}, {"id", N_("Number")}, {NULL}};
static const CtlField mapping_columns[] = {{"principal", N_("Principal")}, {"user", N_("User")}, {NULL}};
static const CtlField ladder_fields[] = {{"principal", N_("Principal")},
                                         {"verdict", N_("Verdict")},
                                         {"reason", N_("Reason")},
                                         {"rule", N_("Rule")},
                                         {"because", N_("Because")},
                                         {"mapping", N_("Mapping")},
                                         {"user", N_("User")},
                                         {"uid", N_("Uid")},
                                         {"gid", N_("Gid")},
                                         {"groups", N_("Groups")},
                                         {"source", N_("Source")},
                                         {"new", N_("Made by the login")},
                                         {"machine", N_("Machine")},
                                         {NULL}};
static const CtlField refused_columns[] = {{"name", N_("Name")}, {"reason", N_("Reason")}, {NULL}};
static const CtlField import_fields[] = {{"imported", N_("Imported")},
                                         {"known", N_("Known before")},
                                         {"refused", N_("Refused"), CTL_AS_IS, refused_columns},
                                         {NULL}};
static const CtlField session_columns[] = {{"id", N_("Id")},
                                           {"protocol", N_("Protocol")},
                                           {"user", N_("User")},
                                           {"flavor", N_("Security")},
                                           {"client", N_("Client")},
                                           {"since", N_("Since"), CTL_AS_TIME},
                                           {"opens", N_("Open files")},
                                           {"locks", N_("Locks")},
                                           {NULL}};
static const CtlField open_columns[] = {{"id", N_("Id")},
                                        {"share", N_("Share")},
                                        {"path", N_("Path")},
                                        {"user", N_("User")},
                                        {"access", N_("Access")},
                                        {"deny", N_("Denied to others")},
                                        {"locks", N_("Locks")},
                                        {"protocol", N_("Protocol")},
                                        {"client", N_("Client")},
                                        {"session", N_("Session")},
                                        {NULL}};
static const CtlField lock_columns[] = {{"id", N_("Id")},
                                        {"share", N_("Share")},
                                        {"path", N_("Path")},
                                        {"user", N_("User")},
                                        {"kind", N_("Kind")},
                                        {"mode", N_("Mode")},
                                        {"start", N_("Start")},
                                        {"length", N_("Length")},
                                        {"lease", N_("Cached")},
                                        {"protocol", N_("Protocol")},
                                        {"client", N_("Client")},
                                        {"session", N_("Session")},
                                        {NULL}};
static const CtlField health_module_columns[] = {{"name", N_("Name")}, {"state", N_("State")}, {NULL}};
static const CtlField health_fields[] = {{"status", N_("Health")},
                                         {"problems", N_("Problems")},
                                         {"modules", N_("Modules"), CTL_AS_IS, health_module_columns},
                                         {NULL}};
static const CtlField version_fields[] = {
    {"version", N_("Version")}, {"api", N_("REST interface")}, {"module-abi", N_("Module ABI")}, {NULL}};
static const CtlField group_fields[] = {{"name", N_("Name")}, {"gid", N_("GID")}, {"members", N_("Members")}, {NULL}};
static const CtlField token_columns[] = {{"id", N_("ID")},
                                         {"subject", N_("Belongs to")},
                                         {"scope", N_("Right")},
                                         {"label", N_("Label")},
                                         {"expires", N_("Expires"), CTL_AS_TIME},
                                         {"used", N_("Last used"), CTL_AS_TIME},
                                         {NULL}};
static const CtlField token_fields[] = {{"token", N_("Token")},
                                        {"id", N_("ID")},
                                        {"subject", N_("Belongs to")},
                                        {"scope", N_("Right")},
                                        {"label", N_("Label")},
                                        {"created", N_("Created"), CTL_AS_TIME},
                                        {"expires", N_("Expires"), CTL_AS_TIME},
                                        {NULL}};
static const CtlField module_columns[] = {{"name", N_("Name")},   {"kind", N_("Kind")},     {"version", N_("Version")},
                                          {"state", N_("State")}, {"reason", N_("Reason")}, {NULL}};
static const CtlField module_fields[] = {{"name", N_("Name")},
                                         {"description", N_("Description")},
                                         {"kind", N_("Kind")},
                                         {"version", N_("Version")},
                                         {"state", N_("State")},
                                         {"reason", N_("Reason")},
                                         {"file", N_("File")},
                                         {"config", N_("Configuration")},
                                         {"settings", N_("Settings"), CTL_AS_IS, setting_columns},
                                         {NULL}};
static const CtlField realm_fields[] = {{"name", N_("Realm")},
                                        {"running", N_("Running")},
                                        {"problem", N_("Problem")},
                                        {"names", N_("Server names")},
                                        {"listen", N_("Listens on"), CTL_OR_ALL},
                                        {"kdc-port", N_("KDC port")},
                                        {"kadmin-port", N_("Kadmin port")},
                                        {"kpasswd-port", N_("Kpasswd port")},
                                        {"keytab", N_("Keytab")},
                                        {"krb5-conf", N_("krb5.conf")},
                                        {"created", N_("Created"), CTL_AS_TIME},
                                        {"rotated", N_("Keys of"), CTL_AS_TIME},
                                        {"rotating", N_("Rotating now")},
                                        {"daemons", N_("Daemons"), CTL_AS_IS, daemon_columns},
                                        {NULL}};
static const CtlField key_columns[] = {
    {"principal", N_("Principal")}, {"kvno", N_("Key version")}, {"enctype", N_("Encryption")}, {NULL}};
static const CtlField kerberos_fields[] = {{"problem", N_("Problem")},
                                           {"realms", N_("Realms")},
                                           {"keytab", N_("Keytab")},
                                           {"loaded", N_("Keys read"), CTL_AS_TIME},
                                           {"found", N_("Services with a key")},
                                           {"missing", N_("Services without a key")},
                                           {"clock-skew", N_("Clocks may differ by"), CTL_AS_DURATION},
                                           {"accepted", N_("Logins accepted")},
                                           {"refused", N_("Logins refused")},
                                           {"replayed", N_("Replays refused")},
                                           {"last-accepted", N_("Last accepted"), CTL_AS_TIME},
                                           {"last-refused", N_("Last refused"), CTL_AS_TIME},
                                           {"contexts", N_("Contexts in use")},
                                           {"replay-cache", N_("Logins remembered")},
                                           {"keys", N_("Keys"), CTL_AS_IS, key_columns},
                                           {NULL}};
static const CtlField rotate_fields[] = {{"in-use-after", N_("New keys in use in"), CTL_AS_DURATION}, {NULL}};
static const CtlField principal_columns[] = {{"name", N_("Name")},
                                             {"disabled", N_("Disabled")},
                                             {"changed", N_("Password changed"), CTL_AS_TIME},
                                             {"kvno", N_("Key version")},
                                             {NULL}};
static const CtlField host_columns[] = {{"name", N_("Name")},
                                        {"disabled", N_("Disabled")},
                                        {"changed", N_("Key made"), CTL_AS_TIME},
                                        {"kvno", N_("Key version")},
                                        {NULL}};
static const CtlField ntlm_columns[] = {{"name", N_("Name")}, {NULL}};
static const CtlField removed_fields[] = {{"removed", N_("Principals removed")}, {NULL}};
static const CtlField context_columns[] = {{"current", N_("Current")},
                                           {"name", N_("Name")},
                                           {"server", N_("Server")},
                                           {"logged-in", N_("Logged in")},
                                           {"user", N_("User")},
                                           {"rights", N_("Right")},
                                           {"expires", N_("Expires"), CTL_AS_TIME},
                                           {NULL}};
static const CtlField context_fields[] = {{"name", N_("Name")},
                                          {"server", N_("Server")},
                                          {"logged-in", N_("Logged in")},
                                          {"user", N_("User")},
                                          {"rights", N_("Right")},
                                          {"expires", N_("Expires"), CTL_AS_TIME},
                                          {"current", N_("Current")},
                                          {"fingerprint", N_("Certificate")},
                                          {NULL}};
static const CtlField verb_columns[] = {
    {"name", N_("Name")}, {"right", N_("Right")}, {"description", N_("Description")}, {NULL}};
