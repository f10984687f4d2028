/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The LaresStore interface type, the ends of node and file references, and what holds for a thread's calls for a while.
 */
#include <lares/store.h>

G_DEFINE_INTERFACE(LaresStore, lares_store, G_TYPE_OBJECT)

static void
lares_store_default_init(LaresStoreInterface *iface)
{
}

void
lares_node_free_(LaresNode *node)
{
    LARES_STORE_GET_IFACE(node->store)->node_free(node->store, node);
}

void
lares_file_free_(LaresFile *file)
{
    LaresStore *store = file->node->store;
    LARES_STORE_GET_IFACE(store)->file_free(store, file);
}

static _Thread_local uint64_t moments; /* begun by this thread */
static _Thread_local uint64_t moment;
static _Thread_local gboolean passes;

void
lares_store_moment_begin(void)
{
    moment = ++moments;
}

void
lares_store_moment_end(void)
{
    moment = 0;
}

uint64_t
lares_store_moment(void)
{
    return moment;
}

gboolean
lares_store_pass(gboolean pass)
{
    gboolean before = passes;
    passes = pass;
    return before;
}

gboolean
lares_store_passes(void)
{
    return passes;
}
