/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Authentication: providers offer flavors; a context is one (half-)established security context.
 *
 * A provider is a GObject registered once. A context is a GObject made per login, never per request: protocols keep and
 * reuse it. The same interface serves NFS (ONC RPC flavors and RPCSEC_GSS), SMB and REST (SPNEGO).
 *
 * Thread: providers are called from any thread. A context is stepped by one thread at a time; once it is established,
 * wrap/unwrap/mic functions may be called by many threads at once. */
#pragma once

#include <lares/sid.h>
#include <lares/types.h>
#include <sys/uio.h>

G_BEGIN_DECLS

typedef enum {
    LARES_PROTECT_NONE,          /* the client says who it is and nobody checks */
    LARES_PROTECT_AUTHENTICATED, /* the caller of each request is proven */
    LARES_PROTECT_INTEGRITY,
    LARES_PROTECT_PRIVACY
} LaresProtection;

/* One flavor as it stands in a share's `sec` list. Constant data of the provider's module. */
typedef struct {
    const char *name; /* "sys", "krb5p"; lower case, unique */
    LaresProtection protection;
    /* ONC RPC: the pseudoflavor of SECINFO and of the wire (1 AUTH_SYS, 0 AUTH_NONE, 390003 krb5 … RFC 2623 2.2.1);
     * UINT32_MAX where the flavor has no RPC form. */
    uint32_t rpc_flavor;
    /* RPCSEC_GSS: the mechanism OID as DER without tag and length, or NULL for a flavor whose RPC credential body is
     * itself the one token of step(). */
    const uint8_t *gss_oid;
    size_t gss_oid_len;
    uint32_t gss_qop;
    uint32_t gss_service; /* rpc_gss_svc_t: 1 none, 2 integrity, 3 privacy; 0 without gss_oid */
    gboolean spnego;      /* can be negotiated by SPNEGO (SMB, HTTP) */
} LaresFlavor;

/* A mechanism's object identifier: DER without tag and length. */
typedef struct {
    const uint8_t *der;
    size_t len;
} LaresOid;

#define LARES_RPC_FLAVOR_NONE UINT32_MAX

/* ---- Context -------------------------------------------------------------------------------------------------- */

typedef enum { LARES_AUTH_CONTINUE, LARES_AUTH_ESTABLISHED, LARES_AUTH_FAILED } LaresAuthState;

/* Why somebody was refused, as a class to count; the words for people stand in the audit log. */
typedef enum {
    LARES_REFUSED_OTHER,
    LARES_REFUSED_CREDENTIAL,  /* a wrong password, token, key or checksum */
    LARES_REFUSED_EXPIRED,     /* the ticket, token or context has ended */
    LARES_REFUSED_REPLAY,      /* it was used before */
    LARES_REFUSED_CLOCK,       /* the clocks differ too much */
    LARES_REFUSED_NO_KEY,      /* for a principal or key version that the server has no key of */
    LARES_REFUSED_MALFORMED,   /* what came is not what it should be */
    LARES_REFUSED_DISABLED,    /* the user is disabled, or was deleted */
    LARES_REFUSED_NO_USER,     /* nobody the directory lets in: unknown, of a foreign realm, a system account */
    LARES_REFUSED_POLICY,      /* this way to log in is not accepted here */
    LARES_REFUSED_LIMIT,       /* too many at once, or too many wrong ones */
    LARES_REFUSED_UNAVAILABLE, /* the server cannot judge it now: no keys, no answer of the directory */
    LARES_REFUSED_LAST
} LaresRefused;

/* Whom the context proved; strings owned by the context and constant once it is established. */
typedef struct {
    const char *principal; /* "ada@HOME.LAN", "host/nas.home.lan@HOME.LAN"; NULL for sys */
    const char *realm;     /* "HOME.LAN"; NULL for sys */
    gboolean machine;      /* a host principal rather than a person */
    gboolean unix_ids;     /* uid, gid and groups below are what the caller claims */
    gboolean anonymous;    /* nobody in particular (AUTH_NONE, guest) */
    uint32_t uid;
    uint32_t gid;
    const uint32_t *groups;
    size_t n_groups;
    const char *machine_name; /* AUTH_SYS: the client's own word for itself; may be NULL */
} LaresAuthPeer;

/* What the domain of an Active Directory vouched for beside the principal ([MS-PAC] 2.5): who the user is and which
 * groups they are in, nested ones included. Owned by the context and constant once it is established. */
typedef struct {
    const char *vouching; /* the realm of the service's ticket, whose KDC signed this */
    const char *domain;   /* the user's domain as Windows calls it ("CORP") */
    const char *account;  /* the user's name in it */
    LaresSid domain_sid;  /* of the user's domain */
    LaresSid user;
    const LaresSid *groups; /* those that are enabled, the primary group among them */
    size_t n_groups;
} LaresAuthSids;

#define LARES_TYPE_AUTH_CONTEXT (lares_auth_context_get_type())
LARES_API
G_DECLARE_INTERFACE(LaresAuthContext, lares_auth_context, LARES, AUTH_CONTEXT, GObject)

struct _LaresAuthContextInterface {
    GTypeInterface g_iface;

    /* Feeds one token (at most 64 KiB). *out is a new GBytes to send back or NULL. On LARES_AUTH_FAILED `reason` gets a
     * newly allocated sentence for the audit log (never for the peer) and *out may still carry an error token. */
    LaresAuthState (*step)(LaresAuthContext *self, const uint8_t *token, size_t len, GBytes **out, char **reason);
    const LaresAuthPeer *(*get_peer)(LaresAuthContext *self); /* NULL until established */
    /* Wall-clock second at which the context ends; INT64_MAX for never. */
    gint64 (*get_expiry)(LaresAuthContext *self);
    /* A key for protocols that derive their own; NULL if there is none. */
    GBytes *(*get_session_key)(LaresAuthContext *self);
    /* GSS major/minor of the last step, for RPCSEC_GSS replies; may be NULL (then 0 / GSS_S_FAILURE). */
    void (*get_gss_status)(LaresAuthContext *self, uint32_t *major, uint32_t *minor);

    /* Message protection; all NULL for a flavor that offers none. */

    /* Bytes that wrap(conf) puts before and after the message. `head` + len + `tail` is the token's exact size. */
    void (*wrap_size)(LaresAuthContext *self, gboolean conf, size_t len, size_t *head, size_t *tail);
    /* Protects, in place, `len` bytes at `message` which has `head` writable bytes before and `tail` behind it. */
    LaresStatus (*wrap)(LaresAuthContext *self, gboolean conf, uint8_t *message, size_t len);
    /* Opens a token in place; *message points into it. Fails (LARES_ACCESS) unless it was sealed when `conf`. */
    LaresStatus (*unwrap)(LaresAuthContext *self, gboolean conf, uint8_t *token, size_t token_len, uint8_t **message,
                          size_t *len);
    /* Largest MIC in bytes. */
    size_t (*mic_size)(LaresAuthContext *self);
    LaresStatus (*get_mic)(LaresAuthContext *self, const struct iovec *iov, int n, uint8_t *mic, size_t *mic_len);
    LaresStatus (*verify_mic)(LaresAuthContext *self, const struct iovec *iov, int n, const uint8_t *mic,
                              size_t mic_len);
    /* What the login was proven with, for the provider's stands(): a number that another password would not give.
     * NULL: 0. */
    uint64_t (*get_credential)(LaresAuthContext *self);
    /* After LARES_AUTH_FAILED: the class of the reason. NULL: LARES_REFUSED_OTHER. */
    LaresRefused (*get_refused)(LaresAuthContext *self);
    /* NULL, or the answer NULL: no directory of Windows' kind said anything. */
    const LaresAuthSids *(*get_sids)(LaresAuthContext *self);
};

LARES_API LaresAuthState lares_auth_context_step(LaresAuthContext *self, const uint8_t *token, size_t len, GBytes **out,
                                                 char **reason);
LARES_API const LaresAuthPeer *lares_auth_context_get_peer(LaresAuthContext *self);
LARES_API gint64 lares_auth_context_get_expiry(LaresAuthContext *self);
LARES_API GBytes *lares_auth_context_get_session_key(LaresAuthContext *self);
LARES_API void lares_auth_context_get_gss_status(LaresAuthContext *self, uint32_t *major, uint32_t *minor);
LARES_API void lares_auth_context_wrap_size(LaresAuthContext *self, gboolean conf, size_t len, size_t *head,
                                            size_t *tail);
LARES_API LaresStatus lares_auth_context_wrap(LaresAuthContext *self, gboolean conf, uint8_t *message, size_t len);
LARES_API LaresStatus lares_auth_context_unwrap(LaresAuthContext *self, gboolean conf, uint8_t *token, size_t token_len,
                                                uint8_t **message, size_t *len);
LARES_API size_t lares_auth_context_mic_size(LaresAuthContext *self);
LARES_API LaresStatus lares_auth_context_get_mic(LaresAuthContext *self, const struct iovec *iov, int n, uint8_t *mic,
                                                 size_t *mic_len);
LARES_API LaresStatus lares_auth_context_verify_mic(LaresAuthContext *self, const struct iovec *iov, int n,
                                                    const uint8_t *mic, size_t mic_len);
LARES_API uint64_t lares_auth_context_get_credential(LaresAuthContext *self);
LARES_API LaresRefused lares_auth_context_get_refused(LaresAuthContext *self);
LARES_API const LaresAuthSids *lares_auth_context_get_sids(LaresAuthContext *self);

/* ---- Provider ------------------------------------------------------------------------------------------------- */

#define LARES_TYPE_AUTH_PROVIDER (lares_auth_provider_get_type())
LARES_API
G_DECLARE_INTERFACE(LaresAuthProvider, lares_auth_provider, LARES, AUTH_PROVIDER, GObject)

struct _LaresAuthProviderInterface {
    GTypeInterface g_iface;

    const char *(*get_name)(LaresAuthProvider *self); /* "krb5" */
    /* The flavors, constant for the provider's life. */
    const LaresFlavor *(*get_flavors)(LaresAuthProvider *self, size_t *n);
    /* A fresh accepting context for one login to `service` ("nfs", "cifs", "HTTP"); `gss_oid` is the mechanism the
     * client asked for (NULL for a plain RPC flavor). NULL with `error` when the provider cannot accept now. */
    LaresAuthContext *(*accept)(LaresAuthProvider *self, const char *service, const LaresPeer *peer, GError **error);
    /* State for `status`: a{sv} floating or NULL. */
    GVariant *(*get_status)(LaresAuthProvider *self);
    /* The mechanisms that its contexts take inside SPNEGO, the preferred first; constant for the provider's life. NULL:
     * the `gss_oid` of its flavors that have `spnego`. */
    const LaresOid *(*get_mechanisms)(LaresAuthProvider *self, size_t *n);
    /* Whether what `principal` logged in with is still good (its password was not changed, the way to log in not
     * switched off): whoever keeps sessions asks when the directory has changed, and ends those for which it is not.
     * `credential`: of the login's context. NULL: always. Any thread. */
    gboolean (*stands)(LaresAuthProvider *self, const char *principal, uint64_t credential);
};

LARES_API const char *lares_auth_provider_get_name(LaresAuthProvider *self);
LARES_API const LaresFlavor *lares_auth_provider_get_flavors(LaresAuthProvider *self, size_t *n);
LARES_API LaresAuthContext *lares_auth_provider_accept(LaresAuthProvider *self, const char *service,
                                                       const LaresPeer *peer, GError **error);
LARES_API GVariant *lares_auth_provider_get_status(LaresAuthProvider *self);
LARES_API gboolean lares_auth_provider_stands(LaresAuthProvider *self, const char *principal, uint64_t credential);

/* ---- The registry of flavors ---------------------------------------------------------------------------------- */

/* NULL when no loaded module offers it. The result lives as long as the process. */
LARES_API const LaresFlavor *lares_flavor_by_name(const char *name);
LARES_API const LaresFlavor *lares_flavor_by_rpc(uint32_t rpc_flavor);
/* RPCSEC_GSS: the flavor of a GSS mechanism at a service level (1, 2, 3); only flavors that have an RPC form. */
LARES_API const LaresFlavor *lares_flavor_by_gss(const uint8_t *oid, size_t oid_len, uint32_t service);
/* The provider behind a flavor; borrowed. */
LARES_API LaresAuthProvider *lares_flavor_provider(const LaresFlavor *flavor);

/* The one place where a login becomes an identity: maps an established context's peer through the directory and writes
 * the audit line (event "auth": principal, realm, client, flavor, protocol, verdict, reason). On success *identity is a
 * new reference. LARES_ACCESS: refused (disabled, no mapping). */
LARES_API LaresStatus lares_auth_login(LaresHost *host, LaresAuthContext *context, const LaresFlavor *flavor,
                                       const char *protocol, const LaresPeer *peer, LaresIdentity **identity);
/* Audit line for a login that failed before it had an identity. */
LARES_API void lares_auth_refused(const char *flavor, const char *protocol, const LaresPeer *peer,
                                  const char *principal, const char *reason);
/* The same with the class of the reason, under which it is counted (lares_auth_failures_total). */
LARES_API void lares_auth_refused_as(const char *flavor, const char *protocol, const LaresPeer *peer,
                                     const char *principal, LaresRefused class_, const char *reason);
/* Counts without an audit line: what is proven and refused anew with each request (a wrong checksum, a bearer token).
 */
LARES_API void lares_auth_count_accepted(const char *flavor, const char *protocol);
LARES_API void lares_auth_count_refused(const char *flavor, const char *protocol, LaresRefused class_);
/* Audit line (event "access") for a share that somebody who is logged in may not use, or not as they do; `user` may be
 * NULL. Written as refused logins are: not all that one peer repeats. */
LARES_API void lares_auth_denied(const char *share, const char *user, const LaresFlavor *flavor, const char *protocol,
                                 const LaresPeer *peer, const char *reason);

G_END_DECLS
