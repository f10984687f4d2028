/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside CREATE: its contexts, the name it is about, and what becomes of it.
 *
 * Thread: a worker's. Pointers go into the request or the arena. */
#pragma once

#include "smb2-lease.h"

typedef struct {
    gboolean mxac, has_mxac_time;
    uint64_t mxac_time;
    gboolean qfid;
    gboolean alsi;
    uint64_t allocation;
    gboolean twrp;
    uint64_t snapshot;
    const uint8_t *ea, *sd, *aapl;
    size_t ea_len, sd_len, aapl_len;
    gboolean has_lease;
    Smb2LeaseRequest lease;
    gboolean dhnq, dhnc, dh2q, dh2c;
    uint64_t durable_persistent, durable_volatile; /* DHnC, DH2C */
    uint32_t durable_timeout, durable_flags;
    uint8_t create_guid[16];
    gboolean has_app_instance, has_app_version;
    uint8_t app_instance[16];
    uint64_t app_version[2]; /* high, low */
} Smb2CreateContexts;

#define SMB2_DHANDLE_FLAG_PERSISTENT 2u

/* A list of create contexts ([MS-SMB2] 2.2.13.2): STATUS_INVALID_PARAMETER for anything malformed. */
uint32_t smb2_create_contexts_parse(const uint8_t *bytes, size_t len, Smb2CreateContexts *contexts);

/* Appends one context to a response; `*last` (0: none yet) is where the one before starts in the writer. */
void smb2_create_context_put(LaresWriter *w, size_t *last, const char *name, const void *data, size_t len);

typedef struct {
    LaresObject parent; /* clear for the share's root */
    const char *name;   /* on disk when it was found, else as it would be made; NULL for the root */
    const char *stream; /* NULL: the file itself */
    LaresObject found;  /* clear: not there */
    const char *path;
} Smb2Target;

/* Finds what a CREATE names. STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_PATH_NOT_FOUND …; with STATUS_SUCCESS the last
 * component may be missing (`found` is clear). Clear the target in any case. */
uint32_t smb2_target_find(Smb2Op *op, const uint8_t *utf16, size_t len, uint32_t options, Smb2Target *target);
void smb2_target_clear(Smb2Target *target);

typedef struct {
    uint8_t oplock;
    uint32_t impersonation, desired, attributes, share, disposition, options;
    const uint8_t *name;
    size_t name_len;
    gboolean name_given;
    Smb2CreateContexts contexts;
    uint8_t parent_key[32]; /* see Smb2Lease */
    /* What comes of it: */
    uint32_t maximal;
    gboolean has_maximal;
    Smb2Target target;
    LaresObject base; /* with a stream: the file; target.found is the stream then */
    gboolean stream_made;
    gboolean nothing_kept; /* made just now, with ordinary attributes */
    Smb2Open *open;        /* a reference */
    gboolean reconnected;
    gboolean replayed;  /* the answer to a CREATE that was done before */
    Smb2Making *making; /* a reference: while this is under way */
} Smb2Create;

/* DHnC, DH2C, and a replayed DH2Q. *done: the answer stands. */
uint32_t smb2_create_durable_reconnect(Smb2Op *op, Smb2Create *create, gboolean *done);
/* To be asked once an open is in the table: whoever ends the tree or the session may have looked there before that, so
 * that nobody else closes it. STATUS_USER_SESSION_DELETED, STATUS_NETWORK_NAME_DELETED. */
uint32_t smb2_create_still_there(const Smb2Op *op);
/* Opens of another client's that this one takes the place of ([MS-SMB2] 3.3.5.9.13), once it is known what it may do:
 * STATUS_FILE_FORCED_CLOSED. */
uint32_t smb2_create_replace_instance(Smb2Op *op, Smb2Create *create, const LaresNode *node);
/* Grants durability where it was asked for and may be had. */
void smb2_create_durable_grant(Smb2Op *op, Smb2Create *create);
/* The contexts of the response; *offset and *len as in the response. */
void smb2_create_contexts_answer(Smb2Op *op, Smb2Create *create, size_t *offset, size_t *len);

/* Attributes, extended attributes and security of what was made or overwritten: the room of file information. */
SMB2_WEAK uint32_t smb2_create_apply(Smb2Op *op, Smb2Create *create, gboolean created);
/* Writes the whole ERROR body that tells a client where a symbolic link leads ([MS-SMB2] 2.2.2.2.1) and sets
 * op->keep_error_body. `unparsed` UTF-16 bytes of the name follow the link. */
SMB2_WEAK void smb2_symlink_answer(Smb2Op *op, const LaresObject *link, size_t unparsed);
/* CREATE on IPC$: makes the pipe and returns STATUS codes. */
SMB2_WEAK Smb2Pipe *smb2_pipe_open(Smb2Op *op, const char *name);
