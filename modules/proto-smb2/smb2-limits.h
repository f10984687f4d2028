/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every size a peer controls, and why it ends where it does. */
#pragma once

/* The largest READ, WRITE and transaction a client may be offered: what Windows offers ([MS-SMB2] 3.3.1.5 <204>). */
#define SMB2_MAX_IO (8u << 20)
/* One command with its payload and what stands around it, in a transform header. */
#define SMB2_MAX_RECORD (SMB2_MAX_IO + (64u << 10))
/* The answers of a compound together; a READ of SMB2_MAX_IO is one of them. */
#define SMB2_MAX_REPLY (SMB2_MAX_IO + (256u << 10))
/* Records of one connection that workers have at a time: what a fast client keeps in flight; the rest waits in the
 * socket. */
#define SMB2_MAX_IN_FLIGHT 128u
/* Commands of one compound: clients send up to 6; each costs little more than its header. */
#define SMB2_MAX_COMPOUND 64u
/* Named pipes of one session: clients keep one for each kind of question. */
#define SMB2_MAX_PIPES 64
/* Records that commands of one connection keep while they wait: a few large WRITEs, or as many small commands as there
 * are credits. */
#define SMB2_MAX_PARKED_BYTES (16u << 20)
/* A Kerberos AP-REQ with a large PAC stays below. */
#define SMB2_MAX_TOKEN (64u << 10)
/* Contexts of NEGOTIATE: five kinds are known. */
#define SMB2_MAX_CONTEXTS 32u
#define SMB2_MAX_DIALECTS 64u
/* Half-open session set-ups of one connection. */
#define SMB2_MAX_SETUPS 16u
/* Of all connections together: they cost memory, but no place among max-sessions. With more, the oldest gives way,
 * which a client that goes on with its login never is for long. */
#define SMB2_MAX_HALF_OPEN 1024u
/* Sessions bound to one connection, and connections of one session. */
#define SMB2_MAX_CHANNELS                32u
#define SMB2_MAX_SESSIONS_PER_CONNECTION 4096u
/* What one credit pays for: [MS-SMB2] 3.3.5.2.5. */
#define SMB2_CREDIT_UNIT 65536u
