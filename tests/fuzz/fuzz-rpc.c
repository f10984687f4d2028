/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RPC through a named pipe: the input is what a client writes, in two parts (the first byte says where it is cut, the
 * second which pipe). Whatever is answered must be whole fragments that say their own length. */
#include "identity/directory.h"
#include "identity/identity.h"
#include "module/host-private.h"
#include "rpc.h"
#include "share/shares.h"
#include "smb2-info.h"
#include "smb2-pipe.h"

#include <glib/gstdio.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Smb2Service service;
static Smb2Session session = {.ref = 1};

/* A host without accounts. */
static LaresNssAnswer
nobody_named(const char *name, LaresNssEntry *entry)
{
    return LARES_NSS_ABSENT;
}

static LaresNssAnswer
nobody_numbered(uint32_t id, LaresNssEntry *entry)
{
    return LARES_NSS_ABSENT;
}

static LaresNssAnswer
no_groups(const char *name, uint32_t gid, uint32_t **groups, size_t *n)
{
    *groups = NULL;
    *n = 0;
    return LARES_NSS_FOUND;
}

static const LaresNssBackend nobody = {nobody_named, nobody_numbered, nobody_named, nobody_numbered, no_groups};

/* Accounts for lsarpc and samr to tell of; whoever asks is one of them. */
static void
add_accounts(const char *file)
{
    service.directory = lares_directory_open(file, "home.lan", &nobody, NULL);
    if (!service.directory)
        abort();
    for (int i = 0; i < 40; i++) {
        g_autofree char *name = g_strdup_printf("user-%d", i);
        const LaresUserValues user = {name, -1, -1, i % 2 ? "Somebody" : NULL};
        if (!lares_directory_user_add(service.directory, &user, NULL))
            abort();
    }
    const LaresAuthPeer who = {.principal = "user-1", .realm = NULL};
    if (lares_directory_resolve(service.directory, &who, &session.identity, NULL) != LARES_OK)
        abort();
}

/* A server without shares: its database is gone from the disk before the first byte comes. */
static void
begin(void)
{
    g_autofree char *folder = g_dir_make_tmp("lares-fuzz-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "lares.db", NULL);
    service.host = lares_host_new();
    service.host->name = g_strdup("nas.home.lan");
    service.shares = lares_shares_open(file, NULL, NULL);
    if (!service.shares)
        abort();
    service.host->domain = g_strdup("home.lan");
    service.host->state_dir = g_strdup(folder);
    g_autofree char *people = g_build_filename(folder, "people.db", NULL);
    add_accounts(people);
    smb2_domain(&service);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
}

static Smb2Pipe *
open_pipe(unsigned which)
{
    static const char *const names[] = {"srvsvc", "\\WKSSVC", "lsarpc", "samr"};
    const LaresPeer peer = {.address = "192.0.2.1"};
    if (!service.host)
        begin();
    Smb2Pipe *pipe = smb2_pipe_open_for(&service, &session, &peer, names[which % G_N_ELEMENTS(names)]);
    if (!pipe)
        abort();
    return pipe;
}

static void
read_all(Smb2Pipe *pipe, LaresArena *arena)
{
    for (;;) {
        LaresWriter w;
        lares_writer_init(&w, arena, 64, 65536);
        uint32_t status = smb2_pipe_read(pipe, 65535, &w);
        if (status != STATUS_SUCCESS)
            break;
        if (w.failed || w.len < 16 || smb2_get_u16(w.base + 8) != w.len || w.base[0] != 5)
            abort();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    g_autoptr(LaresArena) arena = lares_arena_new();
    Smb2Pipe *pipe = open_pipe(data[1]);
    size_t len = size - 2, cut = len * data[0] / 255;
    smb2_pipe_write(pipe, data + 2, cut);
    read_all(pipe, arena);
    smb2_pipe_write(pipe, data + 2 + cut, len - cut);
    read_all(pipe, arena);
    smb2_pipe_free(pipe);
    return 0;
}
