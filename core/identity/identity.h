/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making identities: only the directory does.
 *
 * Thread: any; an identity does not change once it is made. */
#pragma once

#include <lares/identity.h>

G_BEGIN_DECLS

typedef enum { LARES_IDENTITY_UNIX, LARES_IDENTITY_PRINCIPAL, LARES_IDENTITY_ANONYMOUS } LaresIdentityKind;

/* What went in: lares_directory_refresh() asks the same question again. */
typedef struct {
    LaresIdentity pub;
    LaresIdentityKind kind;
    const char *realm;   /* PRINCIPAL; may be NULL */
    gboolean is_machine; /* PRINCIPAL: the peer said so */
    uint32_t claimed_uid, claimed_gid;
    const uint32_t *claimed; /* UNIX: groups from the wire; PRINCIPAL: those that the login's domain named */
    uint32_t n_claimed;
} LaresIdentityFull;

/* Copies everything; `groups` need not be sorted and may hold gid and repeats. */
LaresIdentity *lares_identity_new(const LaresIdentityFull *values, const uint32_t *groups, size_t n_groups);

static inline const LaresIdentityFull *
lares_identity_full(const LaresIdentity *identity)
{
    return (const LaresIdentityFull *)identity;
}

G_END_DECLS
