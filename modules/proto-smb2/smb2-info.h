/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Windows wants to know of a file, from what the core knows; and the classes it asks for it in.
 *
 * Spec: [MS-FSCC] 2.4, 2.5, 2.6. */
#pragma once

#include "smb2-open.h"
#include "smb2-sd.h"

typedef struct {
    Smb2Basic basic;
    uint32_t nlink, tag; /* tag: reparse tag or 0 */
    uint64_t fileid;
    gboolean directory;
} Smb2Info;

/* From attributes (LARES_ATTR_STAT) that were read already. With `entry` the object is that entry of the directory
 * `object`; `name` decides about hidden dot files. */
void smb2_info_fill(Smb2Op *op, const LaresObject *object, const char *entry, const char *name, const LaresAttrs *attrs,
                    Smb2Info *info);
uint32_t smb2_info_get(Smb2Op *op, Smb2Open *open, Smb2Info *info);
/* The file an open is of: itself, or what its stream belongs to. */
static inline const LaresObject *
smb2_open_file(const Smb2Open *open)
{
    return open->base.node ? &open->base : &open->object;
}
/* "\dir\file:stream" in wire form, appended; returns its bytes. */
size_t smb2_put_path(LaresWriter *w, Smb2Open *open, gboolean leading);
/* Bytes of storage for a file's data. An empty file has none: what the file system counts there is the block of its
 * extended attributes. */
static inline uint64_t
smb2_storage(const LaresAttrs *attrs)
{
    return attrs->size ? attrs->used : 0;
}
/* Starts a path's copy under the open's lock (arena). */
const char *smb2_open_path(Smb2Op *op, Smb2Open *open);
/* Likewise; NULL where there is none. */
const char *smb2_open_name(Smb2Op *op, Smb2Open *open);
const char *smb2_open_stream(Smb2Op *op, Smb2Open *open);
/* May Windows be shown CON as CON? Its clients may not. */
gboolean smb2_maps_devices(const Smb2Op *op);

/* Attributes a client may set. */
#define SMB2_ATTR_SETTABLE                                                                                             \
    (SMB2_ATTR_READONLY | SMB2_ATTR_HIDDEN | SMB2_ATTR_SYSTEM | SMB2_ATTR_ARCHIVE | SMB2_ATTR_TEMPORARY |              \
     SMB2_ATTR_OFFLINE | SMB2_ATTR_NOT_INDEXED)
/* Sets attributes (0: leaves them), the time of birth (NULL: leaves it) and the time of the last change (NULL: leaves
 * one that was set). */
uint32_t smb2_info_set_dos(Smb2Op *op, const LaresObject *object, uint32_t attributes, const LaresTime *birth,
                           const LaresTime *change);

/* Classes: each appends its data (as much as there is) to op->out; *fixed is what must fit at least. */
uint32_t smb2_query_file(Smb2Op *op, uint8_t class, size_t limit, size_t *fixed);
uint32_t smb2_query_fs(Smb2Op *op, uint8_t class, size_t *fixed);
/* Extended attributes: FileFullEaInformation. */
uint32_t smb2_ea_query(Smb2Op *op, const uint8_t *wanted, size_t wanted_len, uint32_t flags, uint32_t index,
                       size_t limit);
uint32_t smb2_ea_set(Smb2Op *op, const LaresObject *object, const uint8_t *list, size_t len);
/* Bytes of all of them as FileFullEaInformation; 0: none. */
uint32_t smb2_ea_size(Smb2Op *op, const LaresObject *object);

/* Security descriptors: smb2-security.c. */
const Smb2Domain *smb2_domain(Smb2Service *service); /* this server's SID, kept in STATE/machine.sid */
uint32_t smb2_security_query(Smb2Op *op, uint32_t wanted);
/* What a new object gets from the descriptor that was set on its directory, if one was: what the core let it inherit
 * already, and what only Windows' form can say. */
void smb2_security_inherit(Smb2Op *op, const LaresObject *directory, const LaresObject *object);
/* `granted`: what the open that asks for it may do. */
uint32_t smb2_security_set(Smb2Op *op, const LaresObject *object, uint32_t granted, uint32_t given, const uint8_t *sd,
                           size_t len);

#define SMB2_FILE_CLASS(n) SMB2_CLASS_##n
enum {
    SMB2_CLASS_DIRECTORY = 1,
    SMB2_CLASS_FULL_DIRECTORY = 2,
    SMB2_CLASS_BOTH_DIRECTORY = 3,
    SMB2_CLASS_BASIC = 4,
    SMB2_CLASS_STANDARD = 5,
    SMB2_CLASS_INTERNAL = 6,
    SMB2_CLASS_EA = 7,
    SMB2_CLASS_ACCESS = 8,
    SMB2_CLASS_NAME = 9,
    SMB2_CLASS_RENAME = 10,
    SMB2_CLASS_LINK = 11,
    SMB2_CLASS_NAMES = 12,
    SMB2_CLASS_DISPOSITION = 13,
    SMB2_CLASS_POSITION = 14,
    SMB2_CLASS_FULL_EA = 15,
    SMB2_CLASS_MODE = 16,
    SMB2_CLASS_ALIGNMENT = 17,
    SMB2_CLASS_ALL = 18,
    SMB2_CLASS_ALLOCATION = 19,
    SMB2_CLASS_END_OF_FILE = 20,
    SMB2_CLASS_ALTERNATE_NAME = 21,
    SMB2_CLASS_STREAM = 22,
    SMB2_CLASS_PIPE = 23,
    SMB2_CLASS_COMPRESSION = 28,
    SMB2_CLASS_NETWORK_OPEN = 34,
    SMB2_CLASS_ATTRIBUTE_TAG = 35,
    SMB2_CLASS_ID_BOTH_DIRECTORY = 37,
    SMB2_CLASS_ID_FULL_DIRECTORY = 38,
    SMB2_CLASS_VALID_DATA_LENGTH = 39,
    SMB2_CLASS_SHORT_NAME = 40,
    SMB2_CLASS_NORMALIZED_NAME = 48,
    SMB2_CLASS_ID = 59,
    SMB2_CLASS_ID_EXTD_DIRECTORY = 60,
    SMB2_CLASS_ID_EXTD_BOTH_DIRECTORY = 63,
    SMB2_CLASS_DISPOSITION_EX = 64,
    SMB2_CLASS_LAST = 80
};
enum {
    SMB2_FS_VOLUME = 1,
    SMB2_FS_SIZE = 3,
    SMB2_FS_DEVICE = 4,
    SMB2_FS_ATTRIBUTE = 5,
    SMB2_FS_CONTROL = 6,
    SMB2_FS_FULL_SIZE = 7,
    SMB2_FS_OBJECT_ID = 8,
    SMB2_FS_SECTOR_SIZE = 11,
    SMB2_FS_LAST = 14
};
