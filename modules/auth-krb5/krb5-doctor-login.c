/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs in to the running server as a client would, over each protocol that offers itself for it.
 *
 * Spec: RFC 2743 2.2.1 (GSS_Init_sec_context), RFC 4178 */
#include "krb5-doctor.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    gss_cred_id_t cred;
    gss_name_t target;
    gss_ctx_id_t context;
    gss_OID mech;
    gboolean done;
} Login;

static gss_OID_desc spnego = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};

static void
set_gss_error(GError **error, OM_uint32 major, OM_uint32 minor, gss_OID mech)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 ignored, more = 0;

    gss_display_status(&ignored, minor != 0 ? minor : major, minor != 0 ? GSS_C_MECH_CODE : GSS_C_GSS_CODE, mech, &more,
                       &text);
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "%.*s", (int)text.length, (const char *)text.value);
    gss_release_buffer(&ignored, &text);
}

static GBytes *
step(gpointer data, const uint8_t *token, size_t len, GError **error)
{
    Login *login = data;
    gss_buffer_desc in = {len, (void *)token}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor, ignored;
    GBytes *next = NULL;

    if (login->done)
        return NULL;
    major = gss_init_sec_context(&minor, login->cred, &login->context, login->target, login->mech,
                                 GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG | GSS_C_SEQUENCE_FLAG, 0, NULL,
                                 len > 0 ? &in : GSS_C_NO_BUFFER, NULL, &out, NULL, NULL);
    if (GSS_ERROR(major))
        set_gss_error(error, major, minor, login->mech);
    else if (out.length > 0)
        next = g_bytes_new(out.value, out.length);
    login->done = major == GSS_S_COMPLETE;
    gss_release_buffer(&ignored, &out);
    return next;
}

static void
login_clear(Login *login)
{
    OM_uint32 ignored;

    gss_delete_sec_context(&ignored, &login->context, GSS_C_NO_BUFFER);
    gss_release_name(&ignored, &login->target);
    gss_release_cred(&ignored, &login->cred);
}

/* The tickets that were got with the keytab. */
static gboolean
login_init(Login *login, const Krb5Visit *visit, const char *principal, gboolean negotiated, GError **error)
{
    gss_key_value_element_desc element = {"ccache", visit->ccache_name};
    gss_key_value_set_desc store = {1, &element};
    gss_buffer_desc name = {strlen(principal), (void *)principal};
    gss_OID_desc mechs[2] = {*gss_mech_krb5, spnego};
    gss_OID_set_desc set = {negotiated ? 2 : 1, mechs};
    OM_uint32 minor, major;

    *login = (Login){.mech = negotiated ? &spnego : (gss_OID)gss_mech_krb5};
    major = gss_import_name(&minor, &name, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &login->target);
    if (major == GSS_S_COMPLETE)
        major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &set, GSS_C_INITIATE, &store,
                                      &login->cred, NULL, NULL);
    if (!GSS_ERROR(major))
        return TRUE;
    set_gss_error(error, major, minor, (gss_OID)gss_mech_krb5);
    return FALSE;
}

static gboolean
log_in(const Krb5Visit *visit, const LaresSelfPlace *place, const char *principal, GError **error)
{
    Login login;
    gboolean good = FALSE;
    int fd = lares_doctor_connect(visit->doctor, &place->address, error);

    if (fd < 0)
        return FALSE;
    if (login_init(&login, visit, principal, place->login->spnego, error))
        good = place->login->log_in(place->user, fd, step, &login, error);
    if (good && !login.done) {
        good = FALSE;
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_FAILED,
                            "the server did not prove that it has the key (no token in its answer)");
    }
    login_clear(&login);
    close(fd);
    return good;
}

/* The full name of the service's principal, by the server's first name that has a key; NULL: none has. */
static const char *
principal_for(const Krb5Material *m, const char *service)
{
    g_autofree char *start = g_strdup_printf("%s/", service);

    for (char **host = m->now.hosts; *host != NULL; host++) {
        size_t len = strlen(*host);

        for (guint i = 0; i < m->now.keytab->entries->len; i++) {
            const char *name = ((const Krb5KeytabEntry *)m->now.keytab->entries->pdata[i])->principal;
            const char *rest = name + strlen(start);

            if (g_str_has_prefix(name, start) && g_ascii_strncasecmp(rest, *host, len) == 0 && rest[len] == '@')
                return name;
        }
    }
    return NULL;
}

static void
check_place(Krb5Visit *visit, const LaresSelfPlace *place)
{
    const LaresSelfLogin *way = place->login;
    const char *principal = principal_for(visit->material, way->service);
    g_autoptr(GError) error = NULL;

    if (principal == NULL)
        return; /* said already */
    if (log_in(visit, place, principal, &error))
        lares_doctor_find(visit->doctor, "login", LARES_FINDING_OK, NULL,
                          "A login to %s with a ticket for %s works, and the server proved itself.", way->title,
                          principal);
    else
        lares_doctor_find(visit->doctor, "login", LARES_FINDING_ERROR, "journalctl -u laresd -n 50",
                          "A login to %s (%s port %u) with a ticket for %s does not work: %s. The server's log has the "
                          "reason.",
                          way->title, place->address.address, place->address.port, principal, error->message);
}

void
krb5_doctor_check_logins(Krb5Visit *visit)
{
    GArray *places = visit->material->places;

    for (guint i = 0; i < places->len && lares_doctor_left(visit->doctor) > 0; i++) {
        const LaresSelfPlace *place = &g_array_index(places, LaresSelfPlace, i);

        if (place->listens)
            check_place(visit, place);
    }
}
