/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A Kerberos client that can be made to misbehave: wrong clock, weak keys, short tickets, missing flags.
 *
 * It reads the realm's own configuration, not what a server in the same process put in front of it. */
#pragma once

#include "krb5-pair.h"

#include <krb5/krb5.h>

typedef struct {
    const char *service; /* principal of the ticket; NULL: PAIR_SERVICE */
    int session_enctype; /* 0: any */
    int ticket_life;     /* seconds; 0: the realm's */
    int clock_error;     /* seconds added to the client's clock when the authenticator is made */
    OM_uint32 flags;     /* GSS_C_*; mutual authentication has to be asked for */
    gboolean plain;      /* neither a subkey nor a sequence number, as simple clients do */
} ClientRequest;

/* The first context token (RFC 4121 4.1), made by hand around MIT's AP-REQ. NULL with *why when no ticket could be had;
 * caller frees both. */
GBytes *client_token(Realm *realm, const ClientRequest *request, char **why);
