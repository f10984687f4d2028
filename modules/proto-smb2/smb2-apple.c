/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a Mac asks for beyond [MS-SMB2]: its create context AAPL, and listings that tell of each entry what it would
 * have to open the entry for. No document of Apple's describes them; the published source of its client does, and
 * Samba's vfs_fruit answers likewise.
 *
 * The context's request: command 1 (server query), reserved, a bitmap of what is asked, the client's capabilities; the
 * response: command, reserved, the bitmap, and what the bits stand for in their order. A client that lists so, and was
 * told that the server does, finds in FileIdBothDirectoryInformation ([MS-FSCC] 2.4.22)
 *
 *     EaSize          what it may do with the entry; still the tag where that is a reparse point
 *     ShortNameLength 24, then in ShortName: 8 bytes, the size of the resource fork, and 16 of the Finder's
 *     Reserved2       the UNIX mode
 *
 * The Finder's 16 bytes are type and creator (files only), flags, further flags, and when the entry came into its
 * directory: all in the stream AFP_AfpInfo but the last, for which its birth stands.
 *
 * Thread: the message's. */
#include "smb2-apple.h"

#include <sys/stat.h>

#define QUERY_SERVER 1u
enum { ASKED_SERVER = 1, ASKED_VOLUME = 2, ASKED_MODEL = 4 };
enum { SERVER_LISTS = 1, SERVER_IS_UNIX = 4 };
enum { VOLUME_FULL_SYNC = 4 };
enum { AT_ASKED = 8, AT_CAPABILITIES = 16, REQUEST_SIZE = 24 };

/* The stream AFP_AfpInfo, big endian: "AFP\0", version 1.0, two words, FinderInfo. */
enum { INFO_SIZE = 60, INFO_FINDER = 16, FINDER_FLAGS = 8, FINDER_MORE_FLAGS = 24 };
#define INFO_SIGNATURE 0x41465000u
#define INFO_VERSION   0x00010000u
#define EPOCH_2000     INT64_C(12591158400) /* seconds from 1601 */

void
smb2_apple_answer(Smb2Op *op, const Smb2CreateContexts *contexts, size_t *last)
{
    static const char model[] = "L\0a\0r\0e\0s\0";
    uint8_t data[64] = {0};
    size_t len = 16;
    if (contexts->aapl_len < REQUEST_SIZE || smb2_get_u32(contexts->aapl) != QUERY_SERVER)
        return;
    uint64_t asked = smb2_get_u64(contexts->aapl + AT_ASKED) & (ASKED_SERVER | ASKED_VOLUME | ASKED_MODEL);
    smb2_set_u32(data, QUERY_SERVER);
    smb2_set_u64(data + AT_ASKED, asked);
    if (asked & ASKED_SERVER) {
        uint64_t lists = smb2_get_u64(contexts->aapl + AT_CAPABILITIES) & SERVER_LISTS;
        /* It asks once, and holds it true of all its trees. */
        g_atomic_int_set(&op->session->apple_lists, lists != 0);
        smb2_set_u64(data + len, SERVER_IS_UNIX | lists);
        len += 8;
    }
    if (asked & ASKED_VOLUME) {
        smb2_set_u64(data + len, VOLUME_FULL_SYNC); /* FLUSH reaches the disk */
        len += 8;
    }
    if (asked & ASKED_MODEL) {
        smb2_set_u32(data + len + 4, sizeof model - 1);
        memcpy(data + len + 8, model, sizeof model - 1);
        len += 8 + sizeof model - 1;
    }
    smb2_create_context_put(op->out, last, "AAPL", data, len);
}

/* ---- Entries ------------------------------------------------------------------------------------------------------
 */

gboolean
smb2_apple_lists(const Smb2Op *op, uint8_t class)
{
    return class == SMB2_CLASS_ID_BOTH_DIRECTORY && g_atomic_int_get(&op->session->apple_lists);
}

static uint64_t
fork_size(Smb2Op *op, const LaresObject *object)
{
    LaresObject stream;
    LaresAttrs attrs = {0};
    LaresFiles *files = op->service->files;
    if (lares_files_stream(files, &op->caller, object, "AFP_Resource", 0, FALSE, FALSE, &stream, NULL) != LARES_OK)
        return 0;
    LaresStatus status = lares_files_getattr(files, &op->caller, &stream, LARES_ATTR_STAT, &attrs, NULL);
    lares_object_clear(&stream);
    return status == LARES_OK ? attrs.size : 0;
}

/* The stream AFP_AfpInfo, as whoever may read the file may read it; FALSE where there is none. */
static gboolean
read_info(Smb2Op *op, const LaresObject *object, uint8_t info[INFO_SIZE])
{
    LaresObject stream;
    LaresIo io;
    size_t done = 0;
    LaresFiles *files = op->service->files;
    if (lares_files_stream(files, &op->caller, object, "AFP_AfpInfo", LARES_ACCESS_READ, FALSE, FALSE, &stream, NULL) !=
        LARES_OK)
        return FALSE;
    LaresStatus status = lares_files_io_begin(files, &op->caller, &stream, NULL, LARES_ACCESS_READ, &io);
    if (status == LARES_OK) {
        status = lares_files_read(files, &io, 0, info, INFO_SIZE, &done, NULL);
        lares_files_io_end(&io);
    }
    lares_object_clear(&stream);
    LaresReader r = lares_reader(info, done);
    return status == LARES_OK && done == INFO_SIZE && lares_get_u32(&r) == INFO_SIGNATURE &&
           lares_get_u32(&r) == INFO_VERSION;
}

static void
put_finder_info(Smb2Op *op, const LaresObject *object, const Smb2Info *info, uint8_t out[16])
{
    uint8_t afp[INFO_SIZE];
    if (!read_info(op, object, afp))
        return;
    const uint8_t *finder = afp + INFO_FINDER;
    if (!info->directory)
        memcpy(out, finder, 8);
    memcpy(out + 8, finder + FINDER_FLAGS, 2);
    memcpy(out + 10, finder + FINDER_MORE_FLAGS, 2);
    int64_t added = (int64_t)(info->basic.created / 10000000) - EPOCH_2000;
    uint32_t seconds = GUINT32_TO_BE((uint32_t)(int32_t)CLAMP(added, G_MININT32, G_MAXINT32));
    memcpy(out + 12, &seconds, sizeof seconds);
}

static uint16_t
mode_of(const LaresAttrs *attrs)
{
    static const uint16_t kinds[] = {
        [LARES_TYPE_REGULAR] = S_IFREG, [LARES_TYPE_DIRECTORY] = S_IFDIR, [LARES_TYPE_SYMLINK] = S_IFLNK,
        [LARES_TYPE_BLOCK] = S_IFBLK,   [LARES_TYPE_CHARACTER] = S_IFCHR, [LARES_TYPE_FIFO] = S_IFIFO,
        [LARES_TYPE_SOCKET] = S_IFSOCK};
    return (uint16_t)((attrs->type < G_N_ELEMENTS(kinds) ? kinds[attrs->type] : 0) | (attrs->mode & 07777));
}

void
smb2_apple_entry(Smb2Op *op, const LaresObject *dir, const LaresObject *object, const LaresAttrs *attrs,
                 const Smb2Info *info, Smb2AppleEntry *entry)
{
    *entry = (Smb2AppleEntry){.mode = mode_of(attrs)};
    if (smb2_maximal_access(op, object, dir, &entry->access) != STATUS_SUCCESS)
        entry->access = 0;
    if (attrs->type == LARES_TYPE_REGULAR)
        entry->fork = fork_size(op, object);
    if (attrs->type == LARES_TYPE_REGULAR || attrs->type == LARES_TYPE_DIRECTORY)
        put_finder_info(op, object, info, entry->finder);
}
