/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of opens, as the files that keep it see it. */
#pragma once

#include "smb2-lease.h"

struct _Smb2Opens {
    Smb2Service *service;
    GMutex lock;
    GHashTable *by_volatile;   /* uint64_t* -> Smb2Open (a reference) */
    GHashTable *by_persistent; /* uint64_t* -> Smb2Open: durable ones (no reference) */
    GHashTable *by_guid;       /* 32 bytes -> Smb2Open: those with a create guid (no reference) */
    GHashTable *leases;        /* 32 bytes -> Smb2Lease (no reference) */
    GHashTable *making;        /* 32 bytes -> Smb2Making (no reference) */
    GQueue away;               /* of Smb2Open: those that wait for their clients */
    GQueue instances;          /* of Smb2Open: those with an application instance */
    uint64_t next;
};

/* With the table locked: enters the lists of its session and tree, or leaves all it is in. */
void smb2_open_enter_lists(Smb2Open *open);
void smb2_open_leave_lists(Smb2Open *open);
/* References to those of a list of links, the oldest first: locks go from one to the next as if each had been closed by
 * hand. */
GPtrArray *smb2_opens_collect(Smb2Opens *opens, const GQueue *list);
/* Client and guid: a key of by_guid and of making. */
void smb2_opens_guid_key(const uint8_t client[16], const uint8_t guid[16], uint8_t key[32]);
/* The session ends: so does what its opens stand under in the core, with the last of them. */
void smb2_session_drop_holder(Smb2Session *session);
/* A request through the open begins: STATUS_FILE_NOT_AVAILABLE. */
uint32_t smb2_open_take_sequence(Smb2Op *op, Smb2Open *open);
