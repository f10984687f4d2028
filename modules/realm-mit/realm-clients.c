/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kits for clients: the exact files and commands that make a Linux, macOS or Windows machine a
 * member of this realm, from the settings the server runs with.
 */
#include "realm.h"

#include <string.h>

#define KDC_PORT     88
#define KADMIN_PORT  749
#define KPASSWD_PORT 464
#define NFS_PORT     2049
#define SMB_PORT     445

typedef struct {
    const RealmConf *conf;
    const RealmClientInfo *info;
    char *domain;
    JsonArray *files;
    JsonArray *commands;
    JsonArray *notes;
    GString *text;
} Kit;

static void
add_file(Kit *kit, const char *path, const char *mode, const char *content)
{
    JsonObject *file = json_object_new();

    json_object_set_string_member(file, "path", path);
    json_object_set_string_member(file, "mode", mode);
    json_object_set_string_member(file, "content", content);
    json_array_add_object_element(kit->files, file);
    g_string_append_printf(kit->text, "# %s\n%s\n", path, content);
}

static void add_command(Kit *kit, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void add_note(Kit *kit, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
add_command(Kit *kit, const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    json_array_add_string_element(kit->commands, line);
    g_string_append_printf(kit->text, "%s\n", line);
}

static void
add_note(Kit *kit, const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    json_array_add_string_element(kit->notes, line);
    g_string_append_printf(kit->text, "# %s\n", line);
}

/* ":8088" or nothing for the well-known one. */
static char *
colon_port(guint16 port, guint16 usual)
{
    return port == usual ? g_strdup("") : g_strdup_printf(":%u", port);
}

/* macOS reads the same file with Heimdal, which ignores what it does not know. */
static char *
client_krb5_conf(Kit *kit, gboolean mit)
{
    const RealmConf *conf = kit->conf;
    g_autofree char *kdc = colon_port(conf->kdc_port, KDC_PORT);
    g_autofree char *admin = colon_port(conf->kadmin_port, KADMIN_PORT);
    g_autofree char *kpasswd = colon_port(conf->kpasswd_port, KPASSWD_PORT);
    g_auto(GStrv) names = realm_conf_host_names(conf);
    GString *text = g_string_new(NULL);

    g_string_append_printf(text,
                           "[libdefaults]\n"
                           "    default_realm = %s\n"
                           "    dns_lookup_kdc = false\n"
                           "    dns_lookup_realm = false\n"
                           "    dns_canonicalize_hostname = false\n"
                           "    rdns = false\n"
                           "    forwardable = true\n",
                           conf->name);
    if (mit)
        g_string_append(text, "    permitted_enctypes = aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96 "
                              "aes256-cts-hmac-sha384-192 aes128-cts-hmac-sha256-128\n"
                              "    default_ccache_name = FILE:/tmp/krb5cc_%{uid}\n");
    g_string_append_printf(text,
                           "\n[realms]\n"
                           "    %s = {\n"
                           "        kdc = %s%s\n"
                           "        admin_server = %s%s\n"
                           "        kpasswd_server = %s%s\n"
                           "    }\n\n"
                           "[domain_realm]\n"
                           "    .%s = %s\n"
                           "    %s = %s\n",
                           conf->name, conf->hostname, kdc, conf->hostname, admin, conf->hostname, kpasswd, kit->domain,
                           conf->name, kit->domain, conf->name);
    for (char **p = names; *p; p++)
        if (strcmp(*p, kit->domain) != 0)
            g_string_append_printf(text, "    %s = %s\n", *p, conf->name);
    return g_string_free(text, FALSE);
}

/* The part of a path that is safe as a directory name and needs no quotes in a shell or in fstab.
 */
static char *
folder_name(const char *share)
{
    char *name = g_strdup(share);

    for (char *p = name; *p; p++)
        if (!g_ascii_isalnum(*p) && !strchr("._-", *p))
            *p = '_';
    return name;
}

/* fstab separates fields by blanks and reads \040 as one. */
static char *
fstab_path(const char *path)
{
    GString *text = g_string_new(NULL);

    for (const char *p = path; *p; p++) {
        if (*p == ' ' || *p == '\t' || *p == '\\' || *p == '\n' || *p == '#')
            g_string_append_printf(text, "\\%03o", (unsigned char)*p);
        else
            g_string_append_c(text, *p);
    }
    return g_string_free(text, FALSE);
}

static char *
share_path(const RealmShare *share)
{
    return share->path ? g_strdup(share->path) : g_strdup_printf("/%s", share->name);
}

static char *
nfs_options(Kit *kit, const RealmShare *share, const char *version)
{
    const char *sec = share->sec ? share->sec : "krb5p";

    return kit->info->nfs_port == NFS_PORT
               ? g_strdup_printf("vers=%s,sec=%s", version, sec)
               : g_strdup_printf("vers=%s,sec=%s,port=%u", version, sec, kit->info->nfs_port);
}

/* Remarks: who mounts by NFS has no need of them. */
static void
smb_notes(Kit *kit, gboolean macos)
{
    const RealmClientInfo *info = kit->info;
    const char *host = kit->conf->hostname;
    g_autofree char *url_port = info->smb_port == SMB_PORT ? g_strdup("") : g_strdup_printf(":%u", info->smb_port);
    g_autofree char *option = info->smb_port == SMB_PORT ? g_strdup("") : g_strdup_printf(",port=%u", info->smb_port);

    if (info->n_shares == 0)
        return;
    add_note(kit, macos ? "Over SMB instead:"
                        : "Over SMB instead, with the user's ticket and no keytab (packages cifs-utils and keyutils):");
    for (gsize i = 0; i < info->n_shares; i++) {
        g_autofree char *folder = folder_name(info->shares[i].name);
        g_autofree char *place = g_strdup_printf("//%s/%s", host, info->shares[i].name);
        g_autofree char *quoted = g_shell_quote(place);
        g_autofree char *escaped = g_uri_escape_string(info->shares[i].name, NULL, TRUE);
        g_autofree char *url = g_strdup_printf("smb://USER@%s%s/%s", host, url_port, escaped);
        g_autofree char *quoted_url = g_shell_quote(url);
        if (macos)
            add_note(kit, "    open %s", quoted_url);
        else
            add_note(kit, "    mount -t cifs -o sec=krb5,cruid=USER%s %s /mnt/%s", option, quoted, folder);
    }
}

static void
linux_kit(Kit *kit)
{
    const RealmClientInfo *info = kit->info;
    g_autofree char *krb5 = client_krb5_conf(kit, TRUE);
    g_autofree char *idmapd = g_strdup_printf("[General]\nDomain = %s\n", kit->domain);
    g_autoptr(GString) fstab = g_string_new(NULL);

    add_file(kit, "/etc/krb5.conf", "0644", krb5);
    add_file(kit, "/etc/idmapd.conf", "0644", idmapd);
    for (gsize i = 0; i < info->n_shares; i++) {
        g_autofree char *path = share_path(&info->shares[i]);
        g_autofree char *quoted = fstab_path(path);
        g_autofree char *folder = folder_name(info->shares[i].name);
        g_autofree char *options = nfs_options(kit, &info->shares[i], "4.2");
        g_string_append_printf(fstab, "%s:%s /mnt/%s nfs4 %s,_netdev,nofail 0 0\n", kit->conf->hostname, quoted, folder,
                               options);
    }
    if (fstab->len)
        add_file(kit, "/etc/fstab", "append", fstab->str);
    add_note(kit, "On the server, once for each client; then copy the file to the client as "
                  "/etc/krb5.keytab, owner root, mode 0600:");
    add_note(kit, "    laresctl realm host add CLIENT.%s --output krb5.keytab", kit->domain);
    add_note(kit, "On the client (Debian; elsewhere the packages are krb5-workstation and nfs-utils):");
    add_command(kit, "apt install krb5-user nfs-common");
    add_command(kit, "systemctl restart rpc-gssd");
    for (gsize i = 0; i < info->n_shares; i++) {
        g_autofree char *path = share_path(&info->shares[i]);
        g_autofree char *source = g_strdup_printf("%s:%s", kit->conf->hostname, path);
        g_autofree char *quoted = g_shell_quote(source);
        g_autofree char *folder = folder_name(info->shares[i].name);
        g_autofree char *options = nfs_options(kit, &info->shares[i], "4.2");
        add_command(kit, "mkdir -p /mnt/%s", folder);
        add_command(kit, "mount -t nfs4 -o %s %s /mnt/%s", options, quoted, folder);
    }
    add_note(kit, "Each user, before the first access:");
    add_command(kit, "kinit USER@%s", kit->conf->name);
    smb_notes(kit, FALSE);
}

static void
macos_kit(Kit *kit)
{
    const RealmClientInfo *info = kit->info;
    g_autofree char *krb5 = client_krb5_conf(kit, FALSE);
    g_autofree char *nfs = g_strdup_printf("nfs.client.mount.options = vers=4.0\n"
                                           "nfs.client.default_nfs4domain = %s\n",
                                           kit->domain);

    add_file(kit, "/etc/krb5.conf", "0644", krb5);
    add_file(kit, "/etc/nfs.conf", "0644", nfs);
    add_note(kit, "macOS speaks NFS 4.0 and mounts with the ticket of the user; no keytab is needed.");
    add_command(kit, "kinit USER@%s", kit->conf->name);
    for (gsize i = 0; i < info->n_shares; i++) {
        g_autofree char *path = share_path(&info->shares[i]);
        g_autofree char *source = g_strdup_printf("%s:%s", kit->conf->hostname, path);
        g_autofree char *quoted = g_shell_quote(source);
        g_autofree char *folder = folder_name(info->shares[i].name);
        g_autofree char *options = nfs_options(kit, &info->shares[i], "4.0");
        add_command(kit, "mkdir -p ~/%s", folder);
        add_command(kit, "mount_nfs -o %s %s ~/%s", options, quoted, folder);
    }
    smb_notes(kit, TRUE);
}

static void
windows_kit(Kit *kit)
{
    const RealmConf *conf = kit->conf;
    const RealmClientInfo *info = kit->info;

    add_note(kit, "In a command prompt of an administrator; restart Windows afterwards.");
    add_command(kit, "ksetup /addkdc %s %s", conf->name, conf->hostname);
    add_command(kit, "ksetup /addkpasswd %s %s", conf->name, conf->hostname);
    add_command(kit, "ksetup /addhosttorealmmap %s %s", conf->hostname, conf->name);
    add_command(kit, "ksetup /addhosttorealmmap .%s %s", kit->domain, conf->name);
    if (conf->kdc_port != KDC_PORT || conf->kpasswd_port != KPASSWD_PORT)
        add_note(kit,
                 "Windows asks a KDC on port 88 and changes passwords on port 464 only: set "
                 "kdc-port and kpasswd-port of this realm (now %u and %u) to these for Windows "
                 "clients.",
                 conf->kdc_port, conf->kpasswd_port);
    if (info->smb_port != SMB_PORT)
        add_note(kit, "Windows before 11 24H2 reaches SMB on port 445 only; this server has it on %u.", info->smb_port);
    add_note(kit, "As the user; the user name is USER@%s:", conf->name);
    for (gsize i = 0; i < info->n_shares; i++)
        add_command(kit, "net use * \"\\\\%s\\%s\" /user:USER@%s", conf->hostname, info->shares[i].name, conf->name);
}

JsonObject *
realm_client_config(const RealmConf *conf, const char *platform, const RealmClientInfo *info, GError **error)
{
    static const struct {
        const char *platform;
        void (*make)(Kit *kit);
    } makers[] = {{"linux", linux_kit}, {"macos", macos_kit}, {"windows", windows_kit}};

    for (gsize i = 0; i < G_N_ELEMENTS(makers); i++) {
        Kit kit = {.conf = conf, .info = info};
        JsonObject *result;

        if (!platform || strcmp(platform, makers[i].platform) != 0)
            continue;
        kit.domain = info->nfs_domain ? g_strdup(info->nfs_domain) : g_ascii_strdown(conf->name, -1);
        kit.files = json_array_new();
        kit.commands = json_array_new();
        kit.notes = json_array_new();
        kit.text = g_string_new(NULL);
        makers[i].make(&kit);
        result = json_object_new();
        json_object_set_string_member(result, "platform", platform);
        json_object_set_array_member(result, "files", kit.files);
        json_object_set_array_member(result, "commands", kit.commands);
        json_object_set_array_member(result, "notes", kit.notes);
        json_object_set_string_member(result, "text", kit.text->str);
        g_string_free(kit.text, TRUE);
        g_free(kit.domain);
        return result;
    }
    g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID, "\"%s\" is no kind of client: use linux, macos or windows",
                platform ? platform : "");
    return NULL;
}
