/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of commands. Parsing, help, completion and the man page follow it. */
#include "commands-shown.h"

#include <glib/gi18n.h>

const CtlGroup ctl_groups[] = {
    {"context", N_("servers elsewhere that you logged in to")},
    {"share", N_("shared folders")},
    {"share security", N_("who may use a share, and how")},
    {"user", N_("users of the server's directory")},
    {"user ntlm", N_("users whose devices know no Kerberos")},
    {"group", N_("groups of the server's directory")},
    {"mapping", N_("which Kerberos principals are which users")},
    {"domain", N_("Active Directory domains whose users have logged in")},
    {"sid", N_("users and groups of those domains")},
    {"session", N_("clients that are connected")},
    {"open", N_("files that are open")},
    {"lock", N_("locks and leases on files")},
    {"token", N_("bearer tokens for the REST interface")},
    {"module", N_("the parts the server has loaded")},
    {"kerberos", N_("the server's keys, and logins with tickets")},
    {"realm", N_("the server's own Kerberos realm")},
    {"realm user", N_("people who can get tickets")},
    {"realm host", N_("machines of the realm and their keytabs")},
    {NULL},
};

/* ---- Words ----------------------------------------------------------------------------------------------------- */

static const CtlArg share_name[] = {{"name", N_("NAME"), N_("the share's name"), CTL_SHARE}, {NULL}};
static const CtlArg share_name_path[] = {{"name", N_("NAME"), N_("a name for the share")},
                                         {"path", N_("PATH"), N_("the folder on this machine"), CTL_FOLDER},
                                         {NULL}};
static const CtlArg share_security[] = {
    {"name", N_("NAME"), N_("the share's name"), CTL_SHARE},
    {"sec", N_("FLAVOR..."), N_("how clients may log in, best first: sys, ntlm, krb5, krb5i, krb5p"), CTL_FLAVOR, TRUE},
    {NULL}};
static const CtlArg user_name[] = {{"name", N_("NAME"), N_("the user's name"), CTL_USER}, {NULL}};
static const CtlArg new_user_name[] = {{"name", N_("NAME"), N_("the user's name")}, {NULL}};
static const CtlArg group_name[] = {{"name", N_("NAME"), N_("the group's name"), CTL_GROUP}, {NULL}};
static const CtlArg new_group_name[] = {{"name", N_("NAME"), N_("the group's name")}, {NULL}};
static const CtlArg group_and_user[] = {{"name", N_("GROUP"), N_("the group's name"), CTL_GROUP},
                                        {"member", N_("USER"), N_("the user's name"), CTL_USER},
                                        {NULL}};
static const CtlArg mapping[] = {
    {"principal", N_("PRINCIPAL"), N_("a principal, or a pattern with one *"), CTL_MAPPING},
    {"user", N_("USER"), N_("the user; a * stands for what the pattern's * matched"), CTL_USER},
    {NULL}};
static const CtlArg principal[] = {{"principal", N_("PRINCIPAL"), N_("a principal: ada@HOME.LAN")}, {NULL}};
static const CtlArg account_names[] = {{"names", N_("NAME..."), N_("accounts of this machine"), CTL_NOTHING, TRUE},
                                       {NULL}};
static const CtlArg sid_and_name[] = {{"sid", N_("SID"), N_("the group's SID, as \"sid list\" shows it")},
                                      {"name", N_("NAME"), N_("its name in the domain")},
                                      {NULL}};
static const CtlArg mapping_name[] = {{"principal", N_("PRINCIPAL"), N_("the principal or pattern"), CTL_MAPPING},
                                      {NULL}};
static const CtlArg session_id[] = {{"id", N_("ID"), N_("the id that \"session list\" shows"), CTL_SESSION}, {NULL}};
static const CtlArg token_id[] = {{"id", N_("ID"), N_("the id that \"token list\" shows")}, {NULL}};
static const CtlArg module_name[] = {{"name", N_("NAME"), N_("the module's name"), CTL_MODULE}, {NULL}};
static const CtlArg module_settings[] = {{"name", N_("NAME"), N_("the module's name"), CTL_MODULE},
                                         {"set", N_("KEY=VALUE..."), N_("the settings to change"), CTL_NOTHING, TRUE},
                                         {NULL}};
static const CtlArg realm_name[] = {{"name", N_("REALM"), N_("the realm's name, in capitals: HOME.LAN")}, {NULL}};
static const CtlArg realm_user[] = {{"name", N_("NAME"), N_("the user, or NAME/admin"), CTL_REALM_USER}, {NULL}};
static const CtlArg realm_new_user[] = {{"name", N_("NAME"), N_("the user, or NAME/admin"), CTL_USER}, {NULL}};
static const CtlArg realm_host[] = {
    {"name", N_("NAME"), N_("the machine's full name: laptop.home.lan"), CTL_REALM_HOST}, {NULL}};
static const CtlArg platform[] = {
    {"platform", N_("SYSTEM"), N_("linux, macos or windows"), CTL_NOTHING, FALSE, "linux macos windows"}, {NULL}};
static const CtlArg context_name[] = {{"name", N_("NAME"), N_("the context's name"), CTL_CONTEXT}, {NULL}};
static const CtlArg context_or_local[] = {
    {"name", N_("NAME"), N_("the context's name, or local for this machine's server"), CTL_CONTEXT}, {NULL}};
static const CtlArg shell[] = {{"shell", N_("SHELL"), N_("bash, zsh or fish"), CTL_NOTHING, FALSE, "bash zsh fish"},
                               {NULL}};

/* ---- Options --------------------------------------------------------------------------------------------------- */

#define YES_NO "yes no"
#define PLACE_OPTIONS                                                                                                  \
    {"read-only", "read-only", CTL_YESNO, N_("yes|no"), N_("nobody may change anything"), CTL_NOTHING, YES_NO},        \
        {"enabled", "enabled", CTL_YESNO, N_("yes|no"), N_("clients may use it"), CTL_NOTHING, YES_NO},                \
        {"pseudo", "pseudo", CTL_TEXT, N_("PATH"), N_("its path for NFS clients; a new share's is /NAME")},            \
        {"sync-metadata",                                                                                              \
         "sync-metadata",                                                                                              \
         CTL_YESNO,                                                                                                    \
         N_("yes|no"),                                                                                                 \
         N_("changes of folders are on the disk before they are answered"),                                            \
         CTL_NOTHING,                                                                                                  \
         YES_NO},                                                                                                      \
        {"access-based",                                                                                               \
         "access-based",                                                                                               \
         CTL_YESNO,                                                                                                    \
         N_("yes|no"),                                                                                                 \
         N_("SMB listings leave out what the caller may not read"),                                                    \
         CTL_NOTHING,                                                                                                  \
         YES_NO},                                                                                                      \
        {"smb-encrypt", "smb-encrypt", CTL_YESNO, N_("yes|no"), N_("SMB clients must encrypt, whatever their login"),  \
         CTL_NOTHING,   YES_NO},                                                                                       \
        {"smb-bypass-traverse",                                                                                        \
         "smb-bypass-traverse",                                                                                        \
         CTL_YESNO,                                                                                                    \
         N_("yes|no"),                                                                                                 \
         N_("SMB clients pass folders that they may not search, as on Windows"),                                       \
         CTL_NOTHING,                                                                                                  \
         YES_NO},                                                                                                      \
        {"smb-short-names",                                                                                            \
         "smb-short-names",                                                                                            \
         CTL_YESNO,                                                                                                    \
         N_("yes|no"),                                                                                                 \
         N_("SMB clients find long names by short ones (8.3), too"),                                                   \
         CTL_NOTHING,                                                                                                  \
         YES_NO},                                                                                                      \
    {                                                                                                                  \
        "store", "store", CTL_TEXT, N_("KIND"), N_("the kind of storage; a new share's is posix")                      \
    }
#define SECURITY_OPTIONS                                                                                               \
    {"sec",     "sec", CTL_LIST, N_("LIST"), N_("how clients may log in, best first: sys, ntlm, krb5, krb5i, krb5p"),  \
     CTL_FLAVOR},                                                                                                      \
        {"hosts", "hosts", CTL_LIST, N_("LIST"), N_("addresses, networks and names that may use it; \"\" for all")},   \
        {"squash",    "squash",       CTL_TEXT, N_("root|all|none"), N_("whose rights are taken away"),                \
         CTL_NOTHING, "root all none"},                                                                                \
        {"anonymous-uid", "anonymous-uid", CTL_NUMBER, N_("UID"), N_("the user that these act as")},                   \
    {                                                                                                                  \
        "anonymous-gid", "anonymous-gid", CTL_NUMBER, N_("GID"), N_("the group that these act as")                     \
    }
#define PASSWORD_OPTIONS                                                                                               \
    {"password-stdin", NULL, CTL_FLAG, NULL, N_("read the password from standard input, one line for each user")},     \
        {"password-file", NULL, CTL_TEXT, N_("FILE"), N_("read the password from a file's first line"), CTL_FILE},     \
    {                                                                                                                  \
        "generate-password", NULL, CTL_FLAG, NULL, N_("make a password up and print it")                               \
    }

static const CtlOption create_options[] = {SECURITY_OPTIONS, PLACE_OPTIONS, {NULL}};
static const CtlOption set_options[] = {
    {"path", "path", CTL_TEXT, N_("PATH"), N_("the folder on this machine"), CTL_FOLDER},
    SECURITY_OPTIONS,
    PLACE_OPTIONS,
    {NULL}};
static const CtlOption security_options[] = {SECURITY_OPTIONS, {NULL}};
static const CtlOption user_options[] = {{"uid", "uid", CTL_NUMBER, N_("UID"), N_("the user's number")},
                                         {"gid", "gid", CTL_NUMBER, N_("GID"), N_("the number of the primary group")},
                                         {"full-name", "full-name", CTL_TEXT, N_("TEXT"), N_("the name in full")},
                                         {NULL}};
static const CtlOption new_user_options[] = {
    {"password", NULL, CTL_FLAG, NULL, N_("with a password in the server's own realm, asked for twice")},
    PASSWORD_OPTIONS,
    {"uid", "uid", CTL_NUMBER, N_("UID"), N_("the user's number; chosen if not given")},
    {"gid", "gid", CTL_NUMBER, N_("GID"), N_("the number of the primary group; the default group if not given")},
    {"full-name", "full-name", CTL_TEXT, N_("TEXT"), N_("the name in full")},
    {NULL}};
static const CtlOption user_filter[] = {
    {"match", "match", CTL_TEXT, N_("TEXT"), N_("only users with this in their name or full name")},
    {"source", "source", CTL_TEXT, N_("SOURCE"), N_("only users from here: local, kerberos or host"), CTL_NOTHING,
     "local kerberos host"},
    {"disabled", "disabled", CTL_YESNO, N_("yes|no"), N_("only those that are disabled, or that are not"), CTL_NOTHING,
     YES_NO},
    {"group", "group", CTL_TEXT, N_("NAME"), N_("only users of this group"), CTL_GROUP},
    {NULL}};
static const CtlOption group_filter[] = {
    {"match", "match", CTL_TEXT, N_("TEXT"), N_("only groups with this in their name")},
    {"member", "member", CTL_TEXT, N_("NAME"), N_("only groups that have this member"), CTL_USER},
    {NULL}};
static const CtlOption delete_options[] = {
    {"with-principal", "with-principal", CTL_FLAG, NULL, N_("remove the user from the server's own realm, too")},
    {NULL}};
static const CtlOption import_options[] = {
    {"all", "all", CTL_FLAG, NULL, N_("all accounts of this machine within the range")},
    {"uid-min", "uid-min", CTL_NUMBER, N_("UID"), N_("the range's first uid; that of the first person if not given")},
    {"uid-max", "uid-max", CTL_NUMBER, N_("UID"), N_("the range's last uid; 59999 if not given")},
    {NULL}};
static const CtlOption group_set_options[] = {{"new-name", "new-name", CTL_TEXT, N_("NAME"), N_("the name it gets")},
                                              {"gid", "gid", CTL_NUMBER, N_("GID"), N_("the number it gets")},
                                              {NULL}};
static const CtlOption module_options[] = {
    {"unset", "unset", CTL_LIST, N_("KEYS"), N_("settings to give back to their defaults")}, {NULL}};
static const CtlOption token_options[] = {
    {"service", "service", CTL_TEXT, N_("NAME"), N_("the program that the token is for")},
    {"scope", "scope", CTL_TEXT, N_("RIGHT"), N_("what it may do: read, operate or admin"), CTL_NOTHING,
     "read operate admin"},
    {"lifetime", "lifetime", CTL_NUMBER, N_("SECONDS"), N_("how long it is good")},
    {"label", "label", CTL_TEXT, N_("WORD"), N_("a word to know it by")},
    {NULL}};
static const CtlOption login_options[] = {
    {"kerberos", NULL, CTL_FLAG, NULL, N_("with your ticket; there is no other way yet")},
    {"rights", "scope", CTL_TEXT, N_("RIGHT"), N_("no more than this: read, operate or admin"), CTL_NOTHING,
     "read operate admin"},
    {"lifetime", "lifetime", CTL_NUMBER, N_("SECONDS"), N_("how long it is good; never longer than the ticket")},
    {"fingerprint", NULL, CTL_TEXT, N_("SHA256"), N_("the certificate that the server must show")},
    {"name", NULL, CTL_TEXT, N_("NAME"), N_("what the context is called; the server's name if not given")},
    {NULL}};
static const CtlOption logout_options[] = {{"all", NULL, CTL_FLAG, NULL, N_("of every server")}, {NULL}};
static const CtlOption state_options[] = {
    {"share", "share", CTL_TEXT, N_("NAME"), N_("only files of this share"), CTL_SHARE},
    {"user", "user", CTL_TEXT, N_("NAME"), N_("only what this user opened"), CTL_USER},
    {"limit", "limit", CTL_NUMBER, N_("NUMBER"), N_("ask for so many at a time: 1 to 1000")},
    {"after", "after", CTL_TEXT, N_("ID"), N_("begin behind the one with this id")},
    {NULL}};
static const CtlOption group_options[] = {
    {"gid", "gid", CTL_NUMBER, N_("GID"), N_("the group's number; chosen if not given")}, {NULL}};
static const CtlOption realm_options[] = {
    {"user", NULL, CTL_LIST, N_("NAME"), N_("a user to add, too; may be given more than once")},
    PASSWORD_OPTIONS,
    {"alias", "aliases", CTL_LIST, N_("NAME"), N_("a further name of this server")},
    {"listen", "listen", CTL_LIST, N_("ADDRESS"), N_("where the KDC listens; everywhere if not given")},
    {"kdc-port", "kdc-port", CTL_NUMBER, N_("PORT"), N_("port of the KDC; 88 if not given")},
    {"kadmin-port", "kadmin-port", CTL_NUMBER, N_("PORT"), N_("port of kadmind; 749 if not given")},
    {"kpasswd-port", "kpasswd-port", CTL_NUMBER, N_("PORT"), N_("port for password changes; 464 if not given")},
    {NULL}};
static const CtlOption realm_remove_options[] = {
    {"yes", "confirm", CTL_FLAG, NULL, N_("it is meant: nothing of the realm can be brought back")},
    {"force", "force", CTL_FLAG, NULL, N_("also while shares ask for Kerberos")},
    {NULL}};
static const CtlOption password_options[] = {PASSWORD_OPTIONS, {NULL}};
static const CtlOption doctor_options[] = {
    {"only", "only", CTL_LIST, N_("AREA"),
     N_("look at these only: modules, ports, clients, names, state, shares, kerberos, realm")},
    {NULL}};
static const CtlOption kerberos_init_options[] = {
    {"admin", "admin", CTL_TEXT, N_("PRINCIPAL"), N_("an administrator of the realm: ada/admin@EXAMPLE.ORG")},
    {"realm", "realm", CTL_TEXT, N_("REALM"), N_("the realm; the administrator's if not given")},
    {"password-stdin", NULL, CTL_FLAG, NULL, N_("read the administrator's password from standard input")},
    {"rotate", "rotate", CTL_FLAG, NULL,
     N_("make new keys also where there are some; other keytabs with them become useless")},
    {"active-directory", NULL, CTL_FLAG, NULL, N_("only print what to do in an Active Directory domain")},
    {NULL}};
static const CtlOption keytab_options[] = {
    {"keytab", NULL, CTL_TEXT, N_("FILE"), N_("where the keytab goes; NAME.keytab if not given, - for standard output"),
     CTL_FILE},
    {"output", NULL, CTL_TEXT, N_("FILE"), N_("the same as --keytab"), CTL_FILE},
    {"service", "services", CTL_LIST, N_("NAME"), N_("a service besides host: nfs, cifs, HTTP"), CTL_NOTHING,
     "nfs cifs HTTP"},
    {NULL}};

/* ---- The commands ---------------------------------------------------------------------------------------------- */

const CtlCommand ctl_commands[] = {
    {"status", "status", N_("show what the server is and how it is doing"), NULL, NULL, NULL, status_fields, NULL, NULL,
     "laresctl status\nlaresctl status --json | jq .connections"},
    {"health", "health", N_("tell whether all works that should; the exit code is 1 when something does not"), NULL,
     NULL, NULL, health_fields, NULL, NULL, "laresctl health\nlaresctl health --json | jq -r '.problems[]'",
     ctl_run_health},
    {"version", "version", N_("show which versions the server has"), NULL, NULL, NULL, version_fields, NULL, NULL,
     "laresctl version"},
    {"metrics", "metrics", N_("print what the server counts, as Prometheus reads it"),
     N_("The same stands at /metrics of the REST interface."), NULL, NULL, NULL, NULL, NULL,
     "laresctl metrics\nlaresctl metrics | grep lares_auth", ctl_run_metrics},
    {"reload", "server.reload", N_("read the modules' settings again"), NULL, NULL, NULL, NULL,
     N_("The settings are read again."), NULL, "laresctl reload"},
    {"doctor", "doctor", N_("look for what is wrong, and say what mends it"),
     N_("Looks at names, ports, shares, the server's files, keys, clocks and the KDC, logs in to the running server "
        "with a real ticket, and explains what clients were refused for. Exit status: 0 when all is well, 8 when "
        "there are warnings, 9 when there are errors."),
     NULL, doctor_options, NULL, NULL, NULL,
     "laresctl doctor\nlaresctl doctor --only names,kerberos\nlaresctl doctor --json | jq .errors", ctl_run_doctor},
    {"doctor show", "doctor.show", N_("show what the doctor found when it was last asked"), NULL, NULL, NULL, NULL,
     NULL, NULL, "laresctl doctor show", ctl_run_doctor_show},
    {"verbs", "verb.list", N_("list everything the server can be asked"), NULL, NULL, NULL, verb_columns, NULL, NULL,
     "laresctl verbs\nlaresctl verbs --json"},

    {"share create", "share.create", N_("share a folder"),
     N_("Without --sec, clients log in by number (sys): right for a trusted network only. With krb5p everything is "
        "encrypted and users are who they say."),
     share_name_path, create_options, share_fields, NULL, NULL,
     "laresctl share create media /srv/media --sec krb5p,krb5i\n"
     "laresctl share create iso /srv/iso --sec sys --read-only yes --hosts 192.168.1.0/24"},
    {"share list", "share.list", N_("list the shares"), NULL, NULL, NULL, share_columns, NULL,
     N_("There are no shares yet: \"laresctl share create NAME PATH\" makes one."), "laresctl share list"},
    {"share show", "share.show", N_("show one share"), NULL, share_name, NULL, share_fields, NULL, NULL,
     "laresctl share show media"},
    {"share set", "share.set", N_("change a share; true at once, also for clients that are connected"), NULL,
     share_name, set_options, share_fields, NULL, NULL,
     "laresctl share set media --read-only yes\nlaresctl share set media --hosts 192.168.1.0/24,laptop.home.lan"},
    {"share remove", "share.remove", N_("stop sharing a folder; its files stay"), NULL, share_name, NULL, NULL,
     N_("The share %s is removed; its files are untouched."), NULL, "laresctl share remove media"},
    {"share enable", "share.enable", N_("let clients use a share again"), NULL, share_name, NULL, NULL,
     N_("The share %s is enabled."), NULL, "laresctl share enable media"},
    {"share disable", "share.disable", N_("refuse a share to all clients from now on"), NULL, share_name, NULL, NULL,
     N_("The share %s is disabled."), NULL, "laresctl share disable media"},
    {"share security show", "share.security.show", N_("show who may use a share, and how"), NULL, share_name, NULL,
     share_fields, NULL, NULL, "laresctl share security show media"},
    {"share security set", "share.security.set", N_("change who may use a share, and how"),
     N_("The flavors are in order of preference: clients that do not ask for one get the first they can use. A change "
        "is "
        "true at once, also for clients that are connected."),
     share_security, security_options, share_fields, NULL, NULL,
     "laresctl share security set media krb5p krb5i\nlaresctl share security set media --squash all --anonymous-uid "
     "1000"},

    {"user list", "user.list", N_("list the users"), NULL, NULL, user_filter, user_columns, NULL,
     N_("There are no users yet; the first login with a ticket makes one."),
     "laresctl user list\nlaresctl user list --match ada --disabled no"},
    {"user show", "user.show", N_("show one user"), NULL, user_name, NULL, user_fields, NULL, NULL,
     "laresctl user show ada"},
    {"user add", "user.add", N_("add a user, with a password if you like"),
     N_("With a password, the user can get tickets of the server's own realm: both are made, or neither. The password "
        "is asked for twice, read from standard input or a file, or made up. Without one, a user is somebody whose "
        "tickets are of another realm, or who is known by number."),
     new_user_name, new_user_options, user_fields, NULL, NULL,
     "laresctl user add ada --full-name \"Ada Lovelace\"\nlaresctl user add scanner --uid 5001\n"
     "laresctl user add eve --generate-password",
     ctl_run_user_add},
    {"user passwd", "user.passwd", N_("set a user's password in the server's own realm"),
     N_("Somebody who had none can get tickets from then on."), user_name, password_options, NULL, NULL, NULL,
     "laresctl user passwd ada --generate-password", ctl_run_user_passwd},
    {"user import", "user.import", N_("make accounts of this machine known before they log in"),
     N_("They can then be listed, put into groups and disabled. Names are imported as a whole or not at all; --all "
        "says "
        "whom it had to leave out, and why. Nobody is ever imported otherwise than by this, or by a login."),
     account_names, import_options, import_fields, NULL, NULL,
     "laresctl user import --all --uid-min 1000 --uid-max 1999"},
    {"user set", "user.set", N_("change a user"), NULL, user_name, user_options, user_fields, NULL, NULL,
     "laresctl user set ada --full-name \"Ada King\""},
    {"user disable", "user.disable", N_("refuse a user from now on, also where they are connected"),
     N_("The server's own realm gives them no more tickets, either."), user_name, NULL, NULL,
     N_("%s is refused from now on."), NULL, "laresctl user disable ada"},
    {"user enable", "user.enable", N_("let a disabled user in again"), NULL, user_name, NULL, NULL,
     N_("%s is let in again."), NULL, "laresctl user enable ada"},
    {"user delete", "user.delete", N_("remove a user; a later login makes them anew, with the same number"),
     N_("Who is to stay away is better disabled. The principal in the server's own realm stays unless --with-principal "
        "is given."),
     user_name, delete_options, NULL, NULL, NULL, "laresctl user delete ada\nlaresctl user delete ada --with-principal",
     ctl_run_user_delete},
    {"user ntlm enable", "user.ntlm.enable", N_("let a user log in by NTLM, with a password for that alone"),
     N_("For devices that know no Kerberos. Who hears an NTLM login can guess at its password: make it long, or let "
        "--generate-password make one."),
     user_name, password_options, NULL, NULL, NULL, "laresctl user ntlm enable scanner --generate-password",
     ctl_run_user_ntlm_enable},
    {"user ntlm disable", "user.ntlm.disable", N_("forget a user's NTLM password"), NULL, user_name, NULL, NULL,
     N_("%s cannot log in by NTLM any more."), NULL, "laresctl user ntlm disable scanner"},
    {"user ntlm list", "user.ntlm.list", N_("list the users who can log in by NTLM"), NULL, NULL, NULL, ntlm_columns,
     NULL, N_("Nobody can log in by NTLM."), "laresctl user ntlm list"},

    {"group list", "group.list", N_("list the groups"), NULL, NULL, group_filter, group_columns, NULL,
     N_("There are no groups yet: \"laresctl group add NAME\" makes one."), "laresctl group list"},
    {"group show", "group.show", N_("show one group"), NULL, group_name, NULL, group_fields, NULL, NULL,
     "laresctl group show family"},
    {"group add", "group.add", N_("add a group"), NULL, new_group_name, group_options, NULL,
     N_("The group %s is made."), NULL, "laresctl group add family\nlaresctl group add music --gid 5010"},
    {"group set", "group.set", N_("change a group's name or number; its members stay"), NULL, group_name,
     group_set_options, group_fields, NULL, NULL, "laresctl group set family --new-name home"},
    {"group delete", "group.delete", N_("remove a group"),
     N_("Refused while it is somebody's primary group, or the one that new users get."), group_name, NULL, NULL,
     N_("The group %s is removed."), NULL, "laresctl group delete family"},
    {"group add-member", "group.add-member", N_("put a user into a group"), NULL, group_and_user, NULL, NULL,
     N_("The group %s has a new member."), NULL, "laresctl group add-member family ada"},
    {"group remove-member", "group.remove-member", N_("take a user out of a group"), NULL, group_and_user, NULL, NULL,
     N_("The group %s has one member less."), NULL, "laresctl group remove-member family ada"},

    {"mapping list", "mapping.list", N_("list the mappings"), NULL, NULL, NULL, mapping_columns, NULL,
     N_("There are no mappings: principals of the realm are the users of the same name."), "laresctl mapping list"},
    {"mapping set", "mapping.set", N_("let a principal be a user"), NULL, mapping, NULL, NULL, N_("%s is mapped."),
     NULL, "laresctl mapping set ada/laptop@HOME.LAN ada\nlaresctl mapping set '*@PARTNER.ORG' guest"},
    {"mapping test", "mapping.test", N_("tell who a principal is here, and why"),
     N_("Nothing is changed: a user whom the login would make is only foretold."), principal, NULL, ladder_fields, NULL,
     NULL, "laresctl mapping test ada@HOME.LAN"},
    {"mapping delete", "mapping.delete", N_("remove a mapping"), NULL, mapping_name, NULL, NULL,
     N_("The mapping of %s is removed."), NULL, "laresctl mapping delete ada/laptop@HOME.LAN"},

    {"domain list", "domain.list", N_("list the domains"), NULL, NULL, NULL, domain_columns, NULL,
     N_("No user of an Active Directory has logged in yet."), "laresctl domain list"},
    {"sid list", "sid.list", N_("list users and groups of domains with their SIDs and numbers"), NULL, NULL, NULL,
     sid_columns, NULL, N_("No user of an Active Directory has logged in yet."), "laresctl sid list"},
    {"sid name", "sid.name", N_("give a group of a domain its name"),
     N_("A ticket tells which groups a user is in, but not what they are called. The group is REALM/NAME from then "
        "on."),
     sid_and_name, NULL, NULL, N_("The group %s has its name."), NULL,
     "laresctl sid name S-1-5-21-1004336348-1177238915-682003330-1110 Staff"},

    {"session list", "session.list", N_("list the clients that are connected"), NULL, NULL, NULL, session_columns, NULL,
     N_("Nobody is connected."), "laresctl session list"},
    {"session end", "session.end", N_("end one session"), NULL, session_id, NULL, NULL, N_("The session %s is ended."),
     NULL, "laresctl session end 65f2a1b000000001"},

    {"open list", "open.list", N_("list the files that are open, over any protocol"), NULL, NULL, state_options,
     open_columns, NULL, N_("Nobody has a file open."),
     "laresctl open list\nlaresctl open list --share media --user ada", ctl_run_pages},
    {"lock list", "lock.list", N_("list the locked ranges, leases and oplocks"), NULL, NULL, state_options,
     lock_columns, NULL, N_("Nothing is locked."), "laresctl lock list\nlaresctl lock list --share media",
     ctl_run_pages},

    {"token create", "token.create", N_("make a bearer token; it is shown this once"),
     N_("For the REST interface. A person's token is made with a ticket and ends with it; one for a program "
        "(--service) "
        "is made by an administrator and lasts as long as --lifetime says."),
     NULL, token_options, token_fields, NULL, NULL,
     "laresctl token create --service prometheus --scope read --lifetime 31536000"},
    {"token list", "token.list", N_("list the tokens"), NULL, NULL, NULL, token_columns, NULL,
     N_("There are no tokens."), "laresctl token list"},
    {"token revoke", "token.revoke", N_("end a token at once"), NULL, token_id, NULL, NULL,
     N_("The token %s is ended."), NULL, "laresctl token revoke 3VvYQxZ1"},

    {"module list", "module.list", N_("list the modules and what became of them"), NULL, NULL, NULL, module_columns,
     NULL, NULL, "laresctl module list"},
    {"module show", "module.show", N_("show one module with its settings"), NULL, module_name, NULL, module_fields,
     NULL, NULL, "laresctl module show proto-nfs4"},
    {"module enable", "module.enable", N_("switch a module on, now and from now on"), NULL, module_name, NULL,
     module_fields, NULL, NULL, "laresctl module enable auth-ntlm"},
    {"module disable", "module.disable", N_("switch a module off, now and from now on"), NULL, module_name, NULL,
     module_fields, NULL, NULL, "laresctl module disable auth-ntlm"},
    {"module set", "module.set", N_("change a module's settings"),
     N_("The module's file is written, and kept as it was when the module refuses. Some settings take effect at the "
        "next start; the log says so."),
     module_settings, module_options, module_fields, NULL, NULL,
     "laresctl module set proto-nfs4 max-kept-replies=8M\nlaresctl module set proto-nfs4 --unset max-kept-replies"},

    {"kerberos status", "kerberos.status", N_("show the server's keys, and how logins with tickets go"), NULL, NULL,
     NULL, kerberos_fields, NULL, NULL, "laresctl kerberos status"},
    {"kerberos test", "kerberos.test", N_("look for what is wrong with Kerberos"),
     N_("The part of \"laresctl doctor\" that belongs to Kerberos: names, clock, KDC, keytab, keys, and real logins to "
        "the running server."),
     NULL, NULL, NULL, NULL, NULL, "laresctl kerberos test", ctl_run_doctor},
    {"kerberos init", "kerberos.init", N_("make the server's keytab with all its keys"),
     N_("With a realm of its own, the server makes the keys that are missing. With a realm elsewhere, name an "
        "administrator of it: missing principals are made, keys that are there are copied where the realm allows that, "
        "and none is changed without --rotate. What the keytab holds already stays in it, except for weak keys that "
        "--rotate replaces."),
     NULL, kerberos_init_options, NULL, NULL, NULL,
     "laresctl kerberos init\nlaresctl kerberos init --admin ada/admin@EXAMPLE.ORG\nlaresctl kerberos init "
     "--active-directory",
     ctl_run_kerberos_init},
    {"kerberos init show", "kerberos.init.show", N_("show what was done to bring keys from a realm elsewhere"), NULL,
     NULL, NULL, NULL, NULL, NULL, "laresctl kerberos init show", ctl_run_kerberos_init_show},

    {"realm create", "realm.create", N_("make this server's own realm"),
     N_("Makes the database, the KDC and the server's keys. Each --user gets a password: asked for twice, or from "
        "standard "
        "input, or made up. Ports and addresses are for machines where the usual ones are taken."),
     realm_name, realm_options, realm_fields, NULL, NULL,
     "laresctl realm create HOME.LAN --user ada --user bob\nlaresctl realm create HOME.LAN --user ada "
     "--generate-password",
     ctl_run_realm_create},
    {"realm status", "realm.status", N_("show the realm and its daemons"), NULL, NULL, NULL, realm_fields, NULL, NULL,
     "laresctl realm status"},
    {"realm rotate", "realm.rotate", N_("replace the server's keys without a break"), NULL, NULL, NULL, rotate_fields,
     NULL, NULL, "laresctl realm rotate"},
    {"realm keytab", "realm.keytab", N_("make the server's keys and its keytab whole"), NULL, NULL, NULL, NULL, NULL,
     NULL, "laresctl realm keytab", ctl_run_realm_keytab},
    {"realm remove", "realm.remove", N_("remove this server's own realm with all users, machines and keys"),
     N_("Stops the KDC and deletes the database, its master key and the server's keys. Tickets are worth nothing from "
        "then on; keytabs and krb5.conf on other machines, and the directory's users, stay. While shares ask for "
        "Kerberos, the realm stays too, unless --force is given."),
     realm_name, realm_remove_options, NULL, N_("The realm %s is removed."), NULL,
     "laresctl realm remove HOME.LAN --yes"},
    {"realm client-config", "realm.client-config", N_("show how a client is set up"), NULL, platform, NULL, NULL, NULL,
     NULL, "laresctl realm client-config linux\nlaresctl realm client-config macos --json", ctl_run_client_config},
    {"realm user add", "realm.user.add", N_("add a user who can get tickets"),
     N_("Makes the principal, and the directory's user of that name if there is none."), realm_new_user,
     password_options, NULL, NULL, NULL,
     "laresctl realm user add bob\necho \"$SECRET\" | laresctl realm user add bob --password-stdin",
     ctl_run_realm_user_add},
    {"realm user passwd", "realm.user.passwd", N_("set a user's password"), NULL, realm_user, password_options, NULL,
     NULL, NULL, "laresctl realm user passwd bob\nlaresctl realm user passwd bob --generate-password",
     ctl_run_user_passwd},
    {"realm user show", "realm.user.show", N_("show whether a user can get tickets"), NULL, realm_user, NULL,
     principal_columns, NULL, NULL, "laresctl realm user show ada"},
    {"realm user list", "realm.user.list", N_("list the users of the realm"), NULL, NULL, NULL, principal_columns, NULL,
     N_("The realm has no users yet: \"laresctl realm user add NAME\" makes one."), "laresctl realm user list"},
    {"realm user disable", "realm.user.disable", N_("give a user no more tickets"),
     N_("Tickets they have stay good until they end: \"laresctl user disable\" refuses the user at once."), realm_user,
     NULL, NULL, N_("%s gets no more tickets."), NULL, "laresctl realm user disable bob"},
    {"realm user enable", "realm.user.enable", N_("give a user tickets again"), NULL, realm_user, NULL, NULL,
     N_("%s can get tickets again."), NULL, "laresctl realm user enable bob"},
    {"realm user remove", "realm.user.remove", N_("remove a user from the realm"), NULL, realm_user, NULL, NULL,
     N_("%s is removed from the realm."), NULL, "laresctl realm user remove bob"},
    {"realm host add", "realm.host.add", N_("add a machine and write its keytab"),
     N_("The keytab holds the machine's keys: it is written with mode 0600 and belongs on that machine only."),
     realm_host, keytab_options, NULL, NULL, NULL,
     "laresctl realm host add laptop.home.lan\nlaresctl realm host add laptop.home.lan --keytab /root/laptop.keytab",
     ctl_run_keytab},
    {"realm host keytab", "realm.host.keytab", N_("write a machine's keytab once more"), NULL, realm_host,
     keytab_options, NULL, NULL, NULL, "laresctl realm host keytab laptop.home.lan --keytab laptop.keytab",
     ctl_run_keytab},
    {"realm host list", "realm.host.list", N_("list the machines of the realm"), NULL, NULL, NULL, host_columns, NULL,
     N_("The realm has no machines yet."), "laresctl realm host list"},
    {"realm host remove", "realm.host.remove", N_("remove a machine from the realm"), NULL, realm_host, NULL,
     removed_fields, NULL, NULL, "laresctl realm host remove laptop.home.lan"},

    {"login", NULL, N_("log in to a server elsewhere with your ticket"),
     N_("The ticket (kinit) is exchanged for a token that ends with it at the latest, and that commands use from then "
        "on. A certificate that the server made itself is trusted once you said that its fingerprint is the one that "
        "\"laresctl status\" shows on the server; a changed one is refused."),
     NULL, login_options, context_fields, NULL, NULL,
     "laresctl login --server https://nas.home.lan:8749\nlaresctl login --kerberos --server nas.home.lan --rights read",
     ctl_run_login},
    {"logout", NULL, N_("end your login at the server and forget it here"), NULL, NULL, logout_options, NULL, NULL,
     NULL, "laresctl logout\nlaresctl logout --all", ctl_run_logout},
    {"context list", NULL, N_("list the servers elsewhere that you logged in to"), NULL, NULL, NULL, context_columns,
     NULL, N_("You are logged in to no other server: \"laresctl login --server URL\" does that."),
     "laresctl context list", ctl_run_context_list},
    {"context show", NULL, N_("show one of them"), NULL, context_name, NULL, context_fields, NULL, NULL,
     "laresctl context show nas.home.lan", ctl_run_context_show},
    {"context use", NULL, N_("let commands go to one of them from now on"), NULL, context_or_local, NULL, NULL,
     N_("Commands go to %s from now on."), NULL, "laresctl context use nas.home.lan\nlaresctl context use local",
     ctl_run_context_use},
    {"context remove", NULL, N_("end your login there and forget the server and its certificate"), NULL, context_name,
     NULL, NULL, N_("%s is forgotten."), NULL, "laresctl context remove nas.home.lan", ctl_run_context_remove},

    {"completion", NULL, N_("print a script that completes laresctl's words in your shell"), NULL, shell, NULL, NULL,
     NULL, NULL,
     "laresctl completion bash > /etc/bash_completion.d/laresctl\n"
     "laresctl completion fish > ~/.config/fish/completions/laresctl.fish",
     ctl_run_completion},
    {"__manual", NULL, "print the commands for the manual page", NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     ctl_run_manual, TRUE},
    {"__verbs", NULL, "print which command is which verb", NULL, NULL, NULL, NULL, NULL, NULL, NULL, ctl_run_verbs,
     TRUE},
    {NULL},
};
