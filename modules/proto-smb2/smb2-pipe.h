/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Named pipes: what is written to one is an RPC call, what is read its answer.
 *
 * Thread: any; each pipe has a lock. A pipe belongs to the open that it was made for. */
#pragma once

#include "smb2-open.h"

/* NULL: the session has SMB2_MAX_PIPES, or there is no such pipe ("srvsvc", in any case, with or without a leading
 * "\"). */
Smb2Pipe *smb2_pipe_open(Smb2Op *op, const char *name);
/* The same without a command. */
Smb2Pipe *smb2_pipe_open_for(Smb2Service *service, Smb2Session *session, const LaresPeer *peer, const char *name);
void smb2_pipe_free(Smb2Pipe *pipe);
/* STATUS_SUCCESS: taken, and whatever it completed was answered. */
uint32_t smb2_pipe_write(Smb2Pipe *pipe, const uint8_t *bytes, size_t len);
/* At most one message of at most `max` bytes; STATUS_BUFFER_OVERFLOW: the message has more; STATUS_PIPE_EMPTY. */
uint32_t smb2_pipe_read(Smb2Pipe *pipe, size_t max, LaresWriter *w);
/* A write, and a read of what it answered. */
SMB2_FSCTL(pipe_transceive);
SMB2_FSCTL(pipe_wait);
SMB2_FSCTL(pipe_peek);
