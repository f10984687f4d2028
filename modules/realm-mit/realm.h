/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The home realm: names, configuration files, the database behind a helper process, the two
 * supervised daemons and the kits for clients. Everything here is private to this module.
 *
 * Thread: the functions over RealmConf are plain and re-entrant; those that run the helper block
 * the caller for some 20 ms and may be called on any thread; RealmSupervisor belongs to the thread
 * that runs the default main context, and to one that has it stand still meanwhile.
 */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

#define REALM_ERROR (realm_error_quark())
typedef enum {
    REALM_ERROR_FAILED,
    REALM_ERROR_INVALID,   /* an argument that can never work */
    REALM_ERROR_EXISTS,    /* it is there already */
    REALM_ERROR_NOT_FOUND, /* no such realm, principal or file */
    REALM_ERROR_WEAK,      /* the password policy refuses the password */
    REALM_ERROR_BUSY,      /* a port is taken */
} RealmError;
GQuark realm_error_quark(void);

/* Names (realm-names.c). Each check returns FALSE with REALM_ERROR_INVALID and a sentence for
 * people. */
gboolean realm_name_check(const char *name, GError **error);
gboolean realm_user_check(const char *name, GError **error);
/* Lower case, one trailing dot removed; NULL when it is not a host name. Caller frees. */
char *realm_host_normalize(const char *name, GError **error);
/* The same for a name that gets principals; "admin" would be an administrator of the realm. */
char *realm_machine_check(const char *name, GError **error);
/* The first part of a machine's principal: letters, digits and hyphens, nothing that opens the realm itself. */
gboolean realm_service_check(const char *name, GError **error);

/* What the realm is and where it listens; kept in DIR/realm.conf (realm-conf.c). */
typedef struct {
    char *dir;  /* STATE/realm, absolute */
    char *name; /* HOME.LAN */
    guint16 kdc_port, kadmin_port, kpasswd_port;
    char **listen;     /* addresses without port; empty: every address, IPv4 and IPv6 */
    char *hostname;    /* what clients call this server */
    char **aliases;    /* further names of this server */
    char **services;   /* nfs, cifs, HTTP, host */
    char *database;    /* db2 or klmdb */
    guint max_life;    /* seconds */
    guint max_renew;   /* seconds */
    guint min_length;  /* of a password */
    guint max_guesses; /* wrong passwords after which a user has to wait */
    guint guess_pause; /* seconds; also how long a wrong one counts */
    gint64 created;    /* seconds since 1970 */
    gint64 rotated;    /* when the service keys in use were made */
} RealmConf;

RealmConf *realm_conf_new(const char *state_dir, const char *name);
RealmConf *realm_conf_load(const char *state_dir, GError **error);
RealmConf *realm_conf_copy(const RealmConf *conf);
gboolean realm_conf_save(const RealmConf *conf, GError **error);
gboolean realm_conf_check(const RealmConf *conf, GError **error);
/* Takes one "key = value" of the module's keyfile or of a verb's arguments; FALSE for a bad value.
 */
gboolean realm_conf_set(RealmConf *conf, const char *key, const char *value, GError **error);
gboolean realm_conf_known_key(const char *key);
void realm_conf_free(RealmConf *conf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RealmConf, realm_conf_free)

/* DIR/leaf; caller frees. */
char *realm_conf_path(const RealmConf *conf, const char *leaf);
/* Every name of this server, first the main one, no name twice; caller frees. */
char **realm_conf_host_names(const RealmConf *conf);
/* Environment for MIT programs of this realm, and nothing else of ours; caller frees. */
char **realm_conf_environ(const RealmConf *conf);
/* (Re)writes krb5.conf, kdc.conf and kadm5.acl (only when missing), 0600, in the directory into,
 * which is conf->dir except while a realm is being made. */
gboolean realm_conf_render(const RealmConf *conf, const char *into, GError **error);

#define REALM_KEYTAB "service.keytab"

/* Where the programs are; NULL fields mean the compiled-in place. */
typedef struct {
    const char *helper;
    const char *kdb5_util;
    const char *krb5kdc;
    const char *kadmind;
} RealmPrograms;

/*
 * Runs argv with env and input on its standard input, and gives back its standard output (with
 * standard error when merge is set), bounded and wiped by the caller's realm_wipe_string(). Blocks;
 * FALSE when the program cannot be run, takes longer than a minute or does not end with status 0
 * (realm-spawn.c).
 */
gboolean realm_spawn(const char *const *argv, char **env, const char *input, gsize length, gboolean merge,
                     GString **output, GError **error);
void realm_wipe_string(GString *text);
const char *realm_program(const char *given, const char *fallback);

/*
 * Makes STATE/realm complete, or finds it complete (*created is FALSE then). A realm of another
 * name is REALM_ERROR_EXISTS. What an interrupted run left behind is removed first.
 */
gboolean realm_create(const RealmConf *conf, const RealmPrograms *programs, gboolean *created, GError **error);

/* Removes STATE/realm with the database, the stash and all keys; nobody may be using them any more. */
gboolean realm_remove(const RealmConf *conf, GError **error);
/* Removes what interrupted runs left of realms that are not there. */
void realm_clean_up(const char *state_dir);

/*
 * One request to the helper (realm-admin.c). op: see helper/helper.h; args may be NULL (taken over
 * by the call); secret may be NULL and is not copied outside wiped memory. Returns the helper's
 * answer, or NULL with REALM_ERROR_*.
 */
JsonObject *realm_admin_call(const RealmConf *conf, const RealmPrograms *programs, const char *op, JsonObject *args,
                             const char *secret, GError **error);
/* A JSON array of strings for args of realm_admin_call(). */
JsonArray *realm_json_strv(const char *const *strv);

/* Brings what the settings say into the database: password policy, limits. */
gboolean realm_prepare(const RealmConf *conf, const RealmPrograms *programs, GError **error);
/* DIR/backup.dump: the whole database as text, sealed with the same master key, renewed when the database is newer
 * (realm-backup.c). */
gboolean realm_backup(const RealmConf *conf, const RealmPrograms *programs, GError **error);

/* The service keytab (realm-service.c). All of them leave a complete file, 0600, or the old one. */
gboolean realm_service_sync(const RealmConf *conf, const RealmPrograms *programs, GError **error);
/* Step one of a rotation: new keys into the keytab, not yet used by the KDC. */
gboolean realm_service_stage(const RealmConf *conf, const RealmPrograms *programs, GError **error);
/* Step two: the KDC uses what step one wrote. Does nothing when nothing is staged. */
gboolean realm_service_commit(const RealmConf *conf, const RealmPrograms *programs, guint *n_keys, GError **error);
/* Removes keys no living ticket can need any more. at: seconds since 1970, 0 for now. */
gboolean realm_service_purge(const RealmConf *conf, const RealmPrograms *programs, gint64 at, guint *n_keys,
                             GError **error);

/* A daemon whose output is read, which ends when this process does (realm-start.c). argv and env are the caller's. */
GSubprocess *realm_start(const char *const *argv, char **env, GError **error);

/* krb5kdc and kadmind as children (realm-supervise.c). */
typedef struct RealmSupervisor RealmSupervisor;
typedef struct RealmFarewell RealmFarewell;
/* level: G_LOG_LEVEL_*; program: krb5kdc or kadmind; line: without its end. */
typedef void (*RealmLogFunc)(GLogLevelFlags level, const char *program, const char *line, gpointer user_data);
RealmSupervisor *realm_supervisor_new(const RealmConf *conf, const RealmPrograms *programs, RealmLogFunc log,
                                      gpointer user_data);
/* Refuses with REALM_ERROR_BUSY when a port is taken by somebody else. */
gboolean realm_supervisor_start(RealmSupervisor *self, GError **error);
/* SIGTERM, at most 3 s of patience, SIGKILL; returns with both gone. */
void realm_supervisor_stop(RealmSupervisor *self);
/* The same in two steps: SIGTERM, and nothing of theirs comes any more; then the waiting, in any thread. Takes over. */
RealmFarewell *realm_supervisor_dismiss(RealmSupervisor *self);
void realm_farewell_wait(RealmFarewell *farewell);
gboolean realm_supervisor_is_ready(RealmSupervisor *self);
/* [{program, state, pid, since, restarts, ports, last-error}]; caller unrefs. */
JsonArray *realm_supervisor_status(RealmSupervisor *self);
void realm_supervisor_free(RealmSupervisor *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RealmSupervisor, realm_supervisor_free)
/* Whether the ports of program (krb5kdc, kadmind; NULL: both) can be bound; REALM_ERROR_BUSY names
 * the first that cannot (realm-ports.c). */
gboolean realm_ports_check(const RealmConf *conf, const char *program, GError **error);

/* Kits for clients (realm-clients.c). */
typedef struct {
    const char *name; /* share name */
    const char *path; /* path in the NFS namespace, "/" + name when NULL */
    const char *sec;  /* best flavor, NULL: krb5p */
} RealmShare;
typedef struct {
    guint16 nfs_port, smb_port;
    const char *nfs_domain; /* domain of name@domain; NULL: the realm in lower case */
    const RealmShare *shares;
    gsize n_shares;
} RealmClientInfo;
/* platform: linux, macos or windows. {platform, files: [{path, mode, content}], commands: [],
 * notes: [], text}; caller unrefs. */
JsonObject *realm_client_config(const RealmConf *conf, const char *platform, const RealmClientInfo *info,
                                GError **error);

G_END_DECLS
