/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What answers are made of: each kind of thing that a verb tells of, with its members. The description in OpenAPI is
 * made from it, and the tests hold every answer against that. */
#include "rest.h"

static const RestMember nothing[] = {{NULL}};

/* ---- The server ------------------------------------------------------------------------------------------------ */

static const RestMember status[] = {{"version", "s", "the server's version"},
                                    {"host", "s", "the server's name"},
                                    {"domain", "s", "the domain of names over NFS"},
                                    {"pid", "x", "its process"},
                                    {"uptime", "x", "seconds since it started"},
                                    {"privileged", "b", "it runs as root"},
                                    {"state-dir", "s", "where it keeps its state"},
                                    {"memory", "x", "bytes of memory of the process"},
                                    {"workers", "x", "worker threads"},
                                    {"workers-idle", "x", "those of them with nothing to do"},
                                    {"connections", "x", "connections of NFS and SMB that are open"},
                                    {"connections-accepted", "x", "those that were accepted since the start"},
                                    {"requests", "x", "requests over them since the start"},
                                    {"modules", "x", "modules that are loaded"},
                                    {"protocols", "[Protocol]", "what is served"},
                                    {"problems", "as", "what does not work"},
                                    {NULL}};
static const RestMember protocol[] = {{"name", "s", "nfs4, smb2, rest …"},
                                      {"running", "b", "it is served"},
                                      {"reason", "?s", "why it is not"},
                                      {"details", "?ProtocolDetails", "what the protocol tells of itself"},
                                      {NULL}};
static const RestMember protocol_details[] = {
    {"ports", "?ax", "ports that it listens on"},
    {"connections", "?x", "connections that are open"},
    {"problem", "?s", "why it does not serve all that it should"},
    {"clients", "?x", "clients of NFS that are known"},
    {"gss-contexts", "?x", "security contexts (RPCSEC_GSS) that are kept"},
    {"grace", "?b", "clients may reclaim what they had before the restart"},
    {"waiting-to-reclaim", "?x", "clients that have not done so yet"},
    {"sessions", "?x", "sessions of SMB"},
    {"logins", "?x", "logins of SMB that are on their way"},
    {"opens", "?x", "files that are open over SMB"},
    {"socket", "?s", "the control socket"},
    {"certificate-sha256", "?s", "the fingerprint of the certificate of HTTPS"},
    {"name", "?s", "the name on the bus"},
    {"on-bus", "?b", "it is there"},
    {NULL}};
static const RestMember health[] = {
    {"status", "ok|failing", "whether all works that should; who did not log in is told this only"},
    {"problems", "?as", "what does not work"},
    {"modules", "?[HealthModule]", "every module"},
    {"realm", "?HealthRealm", "the server's own realm, when there is one"},
    {"keytab", "?HealthKeytab", "the keys for Kerberos, when it is there"},
    {NULL}};
static const RestMember health_module[] = {
    {"name", "s", "its name"}, {"state", "loaded|disabled|missing|failed", "what became of it"}, {NULL}};
static const RestMember health_realm[] = {
    {"name", "s", "the realm"}, {"running", "b", "its daemons are ready"}, {NULL}};
static const RestMember health_keytab[] = {{"keytab", "?s", "where the keys are from"},
                                           {"loaded", "?x", "when they were read (seconds since 1970)"},
                                           {"problem", "?s", "why there are none, or why newer ones are not used"},
                                           {NULL}};
static const RestMember version[] = {{"version", "s", "the server's version"},
                                     {"api", "s", "the version of these paths"},
                                     {"module-abi", "s", "the version of the interface to modules"},
                                     {NULL}};

/* ---- Shares ---------------------------------------------------------------------------------------------------- */

#define SECURITY                                                                                                       \
    {"sec", "as", "flavors that it takes, the preferred one first"},                                                   \
        {"usable-sec", "as", "those of them that a loaded module offers"},                                             \
        {"squash", "root|all|none", "who becomes the anonymous user"},                                                 \
        {"anonymous-uid", "x", "the anonymous user's number"}, {"anonymous-gid", "x", "and its group's"},              \
        {"hosts", "as", "clients that may use it; none: all"},                                                         \
        {"warnings", "?as", "of a change: what may not be as it was meant"},                                           \
    {                                                                                                                  \
        NULL                                                                                                           \
    }

static const RestMember share[] = {{"name", "s", "its name"},
                                   {"id", "x", "its number, in file handles"},
                                   {"path", "s", "the folder"},
                                   {"pseudo", "s", "its path over NFS"},
                                   {"store", "s", "the kind of store"},
                                   {"enabled", "b", "it is offered"},
                                   {"available", "b", "it is enabled and its folder can be used"},
                                   {"problem", "?s", "why it cannot"},
                                   {"read-only", "b", "nobody may change anything"},
                                   {"sync-metadata", "b", "changes of folders are on disk before they are answered"},
                                   {"access-based", "b", "lists show what the user may read only"},
                                   {"smb-encrypt", "b", "over SMB it is used encrypted only"},
                                   {"smb-bypass-traverse", "b", "SMB users pass folders that are closed to them"},
                                   {"smb-short-names", "b", "long names have short ones (8.3) over SMB"},
                                   SECURITY};
static const RestMember share_security[] = {{"name", "s", "the share"}, SECURITY};

/* ---- Who ------------------------------------------------------------------------------------------------------- */

static const RestMember user[] = {{"name", "s", "its name"},
                                  {"uid", "x", "its number"},
                                  {"gid", "x", "the number of its primary group"},
                                  {"primary-group", "s", "the name of that; empty when the directory has none"},
                                  {"source", "local|kerberos|host", "where it is from"},
                                  {"disabled", "b", "it may not log in"},
                                  {"full-name", "s", "the person's name"},
                                  {"principal", "s", "the principal that it was made for; empty when for none"},
                                  {"created", "x", "when it was made (seconds since 1970)"},
                                  {"groups", "as", "groups of the directory that it is in"},
                                  {NULL}};
static const RestMember password_set[] = {{"name", "s", "the user"},
                                          {"principal", "s", "the user's principal in the own realm"},
                                          {"created", "b", "it was made now, and was not there before"},
                                          {NULL}};
static const RestMember user_removed[] = {{"name", "s", "the user"},
                                          {"uid", "x", "the number that it had"},
                                          {"principal", "?s", "its principal in the own realm, when it had one"},
                                          {"principal-removed", "?b", "that is gone, too"},
                                          {NULL}};
static const RestMember user_import[] = {{"imported", "as", "accounts that are users now"},
                                         {"known", "as", "those that were before"},
                                         {"refused", "[ImportRefusal]", "those that cannot be"},
                                         {NULL}};
static const RestMember import_refusal[] = {{"name", "s", "the account"}, {"reason", "s", "why it cannot"}, {NULL}};
static const RestMember ntlm_user[] = {{"name", "s", "a user with a password for NTLM"}, {NULL}};
static const RestMember group[] = {
    {"name", "s", "its name"}, {"gid", "x", "its number"}, {"members", "as", "names of users"}, {NULL}};
static const RestMember mapping[] = {
    {"principal", "s", "a principal, or a pattern of them"}, {"user", "s", "the user that it stands for"}, {NULL}};
static const RestMember principal[] = {
    {"principal", "s", "who was asked about"},  {"verdict", "accepted|refused", "whether a login would be let in"},
    {"reason", "?s", "why it would not"},       {"rule", "mapping|pattern|machine|name|foreign|none", "what decided"},
    {"because", "s", "the same in words"},      {"mapping", "?s", "the mapping that it was"},
    {"user", "?s", "the user that it is"},      {"uid", "?x", "that user's number"},
    {"gid", "?x", "and its primary group's"},   {"groups", "?as", "its groups, the primary one first"},
    {"source", "?s", "where the user is from"}, {"new", "?b", "the user would be made"},
    {"machine", "?b", "it is a machine's"},     {NULL}};
static const RestMember domain[] = {
    {"sid", "s", "the domain's SID"}, {"realm", "s", "its realm"}, {"name", "s", "its short name"}, {NULL}};
static const RestMember sid[] = {{"sid", "s", "the SID"},
                                 {"kind", "user|group", "what it stands for"},
                                 {"name", "s", "the name of that"},
                                 {"id", "x", "its uid or gid; -1 when it is deleted"},
                                 {NULL}};

/* ---- What goes on ---------------------------------------------------------------------------------------------- */

static const RestMember session[] = {
    {"id", "s", "for session.end"},
    {"protocol", "s", "nfs4.0, nfs4.1+, smb2 …"},
    {"client", "s", "the address of the client"},
    {"user", "s", "who logged in; over NFS who made the session"},
    {"flavor", "s", "how they logged in"},
    {"since", "x", "when it began (seconds since 1970)"},
    {"name", "?s", "NFS: what the client calls itself"},
    {"sessions", "?x", "NFS: the client's sessions"},
    {"opens", "?x", "NFS: files that it has open"},
    {"locks", "?x", "NFS: locks that it has"},
    {"expired", "?b", "NFS: it is silent for longer than its lease, but nobody wants what it holds"},
    {"dialect", "?s", "SMB: the dialect"},
    {"encrypted", "?b", "SMB: it encrypts"},
    {"connections", "?x", "SMB: connections that it is reached over"},
    {"shares", "?x", "SMB: shares that it is connected to"},
    {NULL}};

#define HOLDER                                                                                                         \
    {"share", "s", "the share"}, {"path", "?s", "the file, below the share's root; missing when it has no name"},      \
        {"stream", "?b", "it is a named stream"}, {"protocol", "s", "nfs4, smb2 …"},                                   \
        {"session", "?s", "whose it is, as session.list tells"}, {"client", "?s", "the address of the client"},        \
        {"user", "?s", "who it is"},                                                                                   \
    {                                                                                                                  \
        "uid", "?x", "that user's number"                                                                              \
    }

static const RestMember open_file[] = {{"id", "s", "a number of its own"},
                                       HOLDER,
                                       {"type", "file|folder", "what is open"},
                                       {"access", "as", "what it is open for: read, write, delete"},
                                       {"deny", "as", "what others may not open it for: read, write, delete"},
                                       {"locks", "x", "locked ranges of it"},
                                       {"lease", "?as", "what the client may keep to itself: read, write, handle"},
                                       {"delete-pending", "?b", "it goes when the last one closes it"},
                                       {NULL}};
static const RestMember lock[] = {
    {"id", "s", "a number of its own"},
    HOLDER,
    {"open", "s", "the id of the open that it belongs to"},
    {"kind", "posix|mandatory|lease|oplock", "a locked range (mandatory as Windows has them), or what a client keeps"},
    {"mode", "?shared|exclusive", "of a range"},
    {"start", "?x", "of a range: its first byte"},
    {"length", "?x", "of a range: its bytes; missing: to the end of the file, wherever that is"},
    {"lease", "?as", "of a lease or oplock: read, write, handle"},
    {"breaking", "?b", "of a lease or oplock: it is asked back"},
    {"owner", "?s", "of a range: who holds it, in the client's words"},
    {NULL}};

/* ---- Modules, the doctor --------------------------------------------------------------------------------------- */

#define MODULE                                                                                                         \
    {"name", "s", "its name"}, {"state", "loaded|disabled|missing|failed", "what became of it"},                       \
        {"reason", "?s", "why it is not loaded"},                                                                      \
        {"kind", "?unknown|auth|protocol|store|service", "what it is for; this and the next of one that was read"},    \
        {"version", "?s", "its version"},                                                                              \
    {                                                                                                                  \
        "description", "?s", "what it does"                                                                            \
    }

static const RestMember module[] = {MODULE, {NULL}};
static const RestMember module_settings[] = {MODULE,
                                             {"file", "?s", "the module itself"},
                                             {"config", "?s", "its .module file, when there is one"},
                                             {"settings", "?[Setting]", "what can be set"},
                                             {NULL}};
static const RestMember setting[] = {{"key", "s", "its name"},
                                     {"type", "string|path|boolean|integer|duration|size|list", "what its value is"},
                                     {"value", "?s", "what is in use, as text"},
                                     {"default", "?s", "what it is when nobody sets it"},
                                     {"description", "?s", "what it means"},
                                     {NULL}};
static const RestMember doctor[] = {{"state", "never|running|done", "whether it has looked"},
                                    {"began", "?x", "when (seconds since 1970)"},
                                    {"ended", "?x", "when it had done"},
                                    {"looking-at", "?s", "what it is at"},
                                    {"good", "x", "findings of the severity ok"},
                                    {"notes", "x", "… note"},
                                    {"warnings-found", "x", "… warning"},
                                    {"errors", "x", "… error"},
                                    {"findings", "[Finding]", "what it found"},
                                    {NULL}};
static const RestMember finding[] = {{"area", "s", "names, state, modules, ports, shares, kerberos …"},
                                     {"id", "s", "for programs; it does not change"},
                                     {"severity", "ok|note|warning|error", "how bad it is"},
                                     {"text", "s", "what it is, for people"},
                                     {"remedy", "?s", "the command that mends it"},
                                     {NULL}};

/* ---- Kerberos -------------------------------------------------------------------------------------------------- */

static const RestMember kerberos_status[] = {
    {"keytab", "?s", "where the keys in use are from; this and the next three are missing while there are none"},
    {"loaded", "?x", "when they were read, at the last reload that found new ones (seconds since 1970)"},
    {"keys", "?[Key]", "the keys"},
    {"realms", "?as", "the realms that they are of"},
    {"problem", "?s", "why there are none, or why newer ones are not used"},
    {"found", "as", "services that have a key"},
    {"missing", "as", "services that have none"},
    {"clock-skew", "x", "seconds by which clocks may differ"},
    {"accepted", "x", "logins that were accepted since the start"},
    {"refused", "x", "logins that were refused"},
    {"replayed", "x", "of these, replays"},
    {"last-accepted", "?x", "when the last one was (seconds since 1970)"},
    {"last-refused", "?x", "when the last one was refused"},
    {"contexts", "x", "security contexts in use: NFS keeps them; a session of SMB and a token live on without"},
    {"replay-cache", "x", "logins that are remembered so that they work once only"},
    {NULL}};
static const RestMember key[] = {{"principal", "s", "whose key it is"},
                                 {"kvno", "x", "its version"},
                                 {"enctype", "s", "its encryption type"},
                                 {NULL}};
static const RestMember kerberos_init[] = {{"state", "never|running|done|failed", "how far it is"},
                                           {"keytab", "?s", "the keytab that is made"},
                                           {"error", "?s", "why it failed"},
                                           {"principals", "[InitKey]", "what was done for each principal"},
                                           {NULL}};
static const RestMember init_key[] = {{"principal", "s", "the principal"},
                                      {"what", "made|rotated|copied|kept|locked", "what was done with its key"},
                                      {"kvno", "x", "the key's version"},
                                      {NULL}};

/* ---- The own realm --------------------------------------------------------------------------------------------- */

#define REALM                                                                                                          \
    {"name", "s", "the realm"}, {"rotated", "x", "since when the keys are in use (seconds since 1970)"},               \
        {"rotating", "b", "new ones wait to be used"}, {"names", "as", "the server's names"},                          \
        {"listen", "as", "addresses of the KDC; none: all"}, {"kdc-port", "x", "the port for tickets"},                \
        {"kadmin-port", "x", "the port for administration"}, {"kpasswd-port", "x", "the port for passwords"},          \
        {"keytab", "s", "the server's keytab"}, {"krb5-conf", "s", "the realm's krb5.conf"},                           \
        {"running", "b", "its daemons are ready"}, {"problem", "?s", "why they are not"},                              \
    {                                                                                                                  \
        "daemons", "?[Daemon]", "its daemons, when this server runs them"                                              \
    }

static const RestMember realm[] = {REALM, {"created", "x", "when it was made (seconds since 1970)"}, {NULL}};
static const RestMember realm_made[] = {REALM, {"created", "b", "it was made now, and was not there before"}, {NULL}};
static const RestMember daemon_members[] = {{"program", "s", "krb5kdc or kadmind"},
                                            {"state", "running|starting|waiting|stopped", "how it is"},
                                            {"pid", "x", "its process; 0: none"},
                                            {"since", "x", "when it was started (seconds since 1970); 0: it is not"},
                                            {"restarts", "x", "how often it had to be started again"},
                                            {"ports", "ax", "its ports"},
                                            {"last-error", "?s", "why it ended"},
                                            {NULL}};
static const RestMember rotation[] = {{"in-use-after", "x", "seconds until the new keys are in use"}, {NULL}};
static const RestMember realm_keytab[] = {{"name", "s", "the realm"},
                                          {"keytab", "s", "the server's keytab"},
                                          {"names", "as", "names that it has keys for"},
                                          {"changed", "b", "it was not whole before"},
                                          {NULL}};
static const RestMember realm_principal[] = {{"name", "s", "the user, or the machine's full name"},
                                             {"disabled", "b", "it gets no tickets"},
                                             {"changed", "x", "when its key was last changed (seconds since 1970)"},
                                             {"kvno", "x", "the version of that"},
                                             {NULL}};
static const RestMember host_keytab[] = {
    {"principals", "as", "whose keys are in it"}, {"keytab", "s", "the machine's keytab, in base64: a secret"}, {NULL}};
static const RestMember host_removed[] = {{"removed", "x", "principals that are gone"}, {NULL}};
static const RestMember client_config[] = {
    {"platform", "linux|macos|windows", "what it is for"}, {"files", "[ClientFile]", "files that the client needs"},
    {"commands", "as", "what is to be run there"},         {"notes", "as", "what people should know"},
    {"text", "s", "all of it for people to read"},         {NULL}};
static const RestMember client_file[] = {{"path", "s", "where it belongs"},
                                         {"mode", "s", "its permissions, in octal"},
                                         {"content", "s", "what is in it"},
                                         {NULL}};

/* ---- Tokens ---------------------------------------------------------------------------------------------------- */

#define TOKEN                                                                                                          \
    {"id", "s", "for token.revoke; no secret"}, {"subject", "s", "whose it is"},                                       \
        {"scope", "read|operate|admin", "what it may do at most"}, {"label", "s", "a word to know it by"},             \
        {"created", "x", "when it was made (seconds since 1970)"}, {"expires", "x", "when it ends"},                   \
    {                                                                                                                  \
        "used", "?x", "when it was last used"                                                                          \
    }

static const RestMember token[] = {TOKEN, {NULL}};
static const RestMember token_made[] = {TOKEN, {"token", "s", "the token itself: a secret, told this once"}, {NULL}};

/* ---- All of them ----------------------------------------------------------------------------------------------- */

const RestThing rest_things[] = {
    {"Nothing", "An object without members.", nothing},
    {"Status", "The server and how it is doing.", status},
    {"Protocol", "A protocol that is served, or should be.", protocol},
    {"ProtocolDetails", "What a protocol tells of itself; each has some of these, and a module may have others.",
     protocol_details, TRUE},
    {"Health", "Whether all works that should.", health},
    {"HealthModule", "A module.", health_module},
    {"HealthRealm", "The own realm.", health_realm},
    {"HealthKeytab", "The keys.", health_keytab},
    {"Version", "Versions.", version},
    {"Share", "A share.", share},
    {"ShareSecurity", "Who may use a share, and how they log in.", share_security},
    {"User", "A user.", user},
    {"PasswordSet", "A user who has a password now.", password_set},
    {"UserRemoved", "A user who is gone.", user_removed},
    {"UserImport", "What became of the host's accounts.", user_import},
    {"ImportRefusal", "An account that cannot be a user.", import_refusal},
    {"NtlmUser", "A user who may log in by NTLM.", ntlm_user},
    {"Group", "A group.", group},
    {"Mapping", "Which user a principal is.", mapping},
    {"Principal", "Who a principal is, and why.", principal},
    {"Domain", "A domain of Active Directory.", domain},
    {"Sid", "A user or group of such a domain.", sid},
    {"Session", "A client that is there; a protocol of another module may tell more.", session, TRUE},
    {"Open", "A file that is open.", open_file},
    {"Lock", "A locked range, lease or oplock.", lock},
    {"Module", "A module.", module},
    {"ModuleSettings", "A module with its settings.", module_settings},
    {"Setting", "What can be set.", setting},
    {"Doctor", "What the doctor found, or how far it is.", doctor},
    {"Finding", "One thing that it found.", finding},
    {"KerberosStatus", "The server's keys, and how logins with tickets go.", kerberos_status},
    {"Key", "A key of the server's.", key},
    {"KerberosInit", "How the making of the keytab goes.", kerberos_init},
    {"InitKey", "A key of that keytab.", init_key},
    {"Realm", "The server's own realm.", realm},
    {"RealmMade", "The realm, and whether it was made.", realm_made},
    {"Daemon", "A daemon of the realm.", daemon_members},
    {"Rotation", "New keys.", rotation},
    {"RealmKeytab", "The server's keytab.", realm_keytab},
    {"RealmPrincipal", "A user or a machine of the realm.", realm_principal},
    {"HostKeytab", "A machine's keytab.", host_keytab},
    {"HostRemoved", "A machine that is gone.", host_removed},
    {"ClientConfig", "What a client needs.", client_config},
    {"ClientFile", "A file for a client.", client_file},
    {"Token", "A bearer token.", token},
    {"TokenMade", "A bearer token that was just made.", token_made},
    {NULL}};
