/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside the store in memory. */
#pragma once

#include "memstore.h"

#include <string.h>

typedef struct _MemStore MemStore;
typedef struct _MemNode MemNode;

typedef struct {
    char *name;
    uint64_t cookie;
    MemNode *node;
} MemEntry;

struct _MemNode {
    LaresNode base;
    LaresAttrs attrs;
    GByteArray *data;
    char *target;
    GHashTable *xattrs; /* char* → GBytes */
    LaresAcl *acl;      /* NULL: the mode */
    GPtrArray *entries; /* MemEntry, in order of their cookies */
    MemNode *parent;
    guint opens;
};

struct _MemStore {
    GObject parent;
    GMutex lock;
    GPtrArray *nodes; /* all there ever were; fileid is the index + 1 */
    uint64_t next_cookie;
    uint64_t clock; /* nanoseconds of ctime; moves with every change */
    uint64_t calls;
    char *fail_operation;
    LaresStatus fail_status;
};

#define MEMSTORE(p) ((MemStore *)(p))
#define MEMNODE(p)  ((MemNode *)(p))

/* Locks; when an error was ordered for this operation it unlocks again and returns it. */
LaresStatus memstore_begin(MemStore *store, const char *operation);
LaresStatus memstore_end(MemStore *store, LaresStatus status); /* unlocks, returns status */
void memstore_touch(MemStore *store, MemNode *node, gboolean data);
LaresStatus memstore_may(const MemNode *node, const LaresCred *cred, uint32_t mask);
uint32_t memstore_allowed(const MemNode *node, const LaresCred *cred, uint32_t mask);

void memstore_add_data_functions(LaresStoreInterface *iface);
void memstore_add_attr_functions(LaresStoreInterface *iface);
