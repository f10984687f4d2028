/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RPC through a named pipe: the input is what a client writes, in two parts (the first byte says where it is cut, the
 * second which pipe). Whatever is answered must be whole fragments that say their own length. */
#include "module/host-private.h"
#include "rpc.h"
#include "share/shares.h"
#include "smb2-pipe.h"

#include <glib/gstdio.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Smb2Service service;
static Smb2Session session = {.ref = 1};

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
    static const char *const names[] = {"srvsvc", "\\WKSSVC"};
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
