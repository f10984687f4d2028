/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A share's list of allowed hosts, ready to be asked: networks (CIDR, IPv4 and IPv6) and host names.
 *
 * Names are resolved forward only (what a peer's own reverse zone says proves nothing), on first use and then every few
 * minutes, into a bounded cache for the whole process.
 *
 * Thread: any. Locks: the name cache's own, never held while the resolver is asked. */
#pragma once

#include <lares/types.h>

G_BEGIN_DECLS

typedef struct _LaresHosts LaresHosts;

/* NULL with LARES_ERROR_INVALID naming the entry. */
LaresHosts *lares_hosts_compile(const char *const *entries, GError **error);
void lares_hosts_free(LaresHosts *hosts);
/* An empty list allows everybody; otherwise an address that cannot be read allows nobody. A local socket ("unix")
 * counts as loopback. */
gboolean lares_hosts_match(const LaresHosts *hosts, const char *address);

/* An address of 16 bytes, IPv4 as ::ffff:a.b.c.d. */
typedef struct {
    uint8_t bytes[16];
} LaresAddress;
/* Appends the name's addresses; FALSE when it cannot be resolved now. Tests put their own here. */
typedef gboolean (*LaresResolveFunc)(const char *name, GArray *addresses);
void lares_hosts_set_resolver(LaresResolveFunc resolve);
gboolean lares_address_parse(const char *text, LaresAddress *address);

G_END_DECLS
