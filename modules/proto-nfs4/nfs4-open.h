/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening a file and giving out its stateid: shared by the claims of OPEN. */
#pragma once

#include "nfs4-attr.h"
#include "nfs4-state-private.h"

/* The arguments of OPEN (RFC 7530 16.16.1, RFC 8881 18.16.1). */
typedef struct {
    uint32_t seqid, access, deny;
    uint64_t clientid;
    const uint8_t *owner;
    size_t owner_len;
    gboolean create;
    uint32_t how; /* UNCHECKED4 … */
    Nfs4SetAttrs attrs;
    uint32_t attr_status; /* of decoding attrs */
    const uint8_t *verifier;
    uint32_t claim;
    const uint8_t *name;
    size_t name_len;
    uint32_t delegate_type;
    Nfs4Stateid delegate_stateid;
} Nfs4OpenArgs;

/* What OPEN answers beside the stateid. */
typedef struct {
    Nfs4Grant *grant; /* a reference */
    Nfs4Stateid stateid;
    LaresObject object; /* becomes current */
    LaresChangeInfo info;
    Nfs4Bitmap attrset;
} Nfs4OpenResult;

/* Opens c->current or `object` for the owner: a new grant, or a wider one. */
uint32_t nfs4_open_object(Nfs4Compound *c, Nfs4Owner *owner, const Nfs4OpenArgs *args, const LaresObject *object,
                          Nfs4OpenResult *result);
/* By name in the current directory, creating it if asked. */
uint32_t nfs4_open_name(Nfs4Compound *c, Nfs4Owner *owner, Nfs4OpenArgs *args, Nfs4OpenResult *result);
