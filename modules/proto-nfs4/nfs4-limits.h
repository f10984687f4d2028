/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every size a peer controls, with the reason of its limit. */
#pragma once

/* Largest READ and WRITE: what the Linux client uses at most; larger gains nothing over loopback or 10 Gbit/s. */
#define NFS4_MAX_IO (1024u * 1024u)
/* RPC header, credential with a large GSS token, COMPOUND around a WRITE: room beside the data of one record. */
#define NFS4_RECORD_OVERHEAD (80u * 1024u)
#define NFS4_MAX_RECORD      (NFS4_MAX_IO + NFS4_RECORD_OVERHEAD)
/* A reply carries at most one full READ and what stands around it. */
#define NFS4_MAX_REPLY (NFS4_MAX_IO + 64u * 1024u)
/* Operations in one COMPOUND: real clients use under 20, conformance suites try up to 100. */
#define NFS4_MAX_OPS 128u
/* COMPOUND tag: a label for packet traces, echoed, so it is paid twice. */
#define NFS4_MAX_TAG 1024u
/* RFC 5531 8.2: credential and verifier bodies are at most 400 bytes. */
#define RPC_MAX_AUTH 400u
/* Kerberos tickets with a full PAC reach 64 KiB (issue of large group lists in Active Directory). */
#define GSS_MAX_TOKEN 65536u
/* RPCSEC_GSS sequence window. What falls below it is dropped (RFC 2203 5.3.3.1), and a dropped call is lost for its
 * client. A worker that loses its processor between reading a call and looking at its number may find that others took
 * 100,000 calls a second meanwhile: measured, 512 lost one call in 100,000 on a busy machine, 65,536 none. 32,768 bits
 * are 4 KiB per context. */
#define GSS_WINDOW 32768u
/* Handles of our own making: 16 random bytes, unguessable. */
#define GSS_HANDLE_SIZE 16u
/* What a slot is reckoned to keep at least: the reply of a lone SEQUENCE with its tag. */
#define NFS4_MIN_CACHED (NFS4_MAX_TAG + 128u)
/* Slots a session gets at least, also when the whole server's share of memory for kept replies is spoken for. */
#define NFS4_MIN_SLOTS 4u
/* That share: this part of the machine's memory, or so many bytes if that is less. */
#define NFS4_KEPT_MEMORY_PART 16u
#define NFS4_KEPT_MEMORY_MIN  (64u * 1024u * 1024u)
/* Established GSS contexts kept (settings: max-contexts); each some 2 KiB. */
#define GSS_DEFAULT_CONTEXTS 16384
/* Half-made contexts: a peer that never finishes may not push out others' established ones. */
#define GSS_MAX_PENDING     256u
#define GSS_PENDING_SECONDS 60
/* Plain credentials remembered per connection: one per user on the client. */
#define NFS4_MAX_CREDS 64u
/* Requests of one connection in flight: more stay in the socket. */
#define NFS4_MAX_IN_FLIGHT 128u
/* bitmap4: words that carry any attribute known up to 4.2, and as many again for what is to come. */
#define NFS4_MAX_BITMAP 8u
#define NFS4_BITMAP     3u
/* One fattr4: an ACL of LARES_ACL_MAX entries with long names is its largest part. */
#define NFS4_MAX_FATTR (256u * 1024u)
/* Owner names on the wire: a name, '@' and a domain name of 253 bytes. */
#define NFS4_MAX_OWNER 512u
/* Symbolic links: Linux refuses longer ones. */
#define NFS4_MAX_LINK 4095u
/* Extended attributes: the limits of Linux (XATTR_SIZE_MAX, XATTR_LIST_MAX, XATTR_NAME_MAX without "user."). */
#define NFS4_MAX_XATTR      65536u
#define NFS4_MAX_XATTR_LIST 65536u
#define NFS4_MAX_XATTR_NAME 250u
/* READDIR: one answer; larger ones only hold memory for longer. */
#define NFS4_MAX_READDIR (256u * 1024u)
/* COPY: bytes moved in one answer, so that one request does not keep a worker for minutes (RFC 7862 15.2.3 lets the
 * server copy less than asked). */
#define NFS4_MAX_COPY (256u * 1024u * 1024u)
/* Callbacks waiting for their answer per connection. */
#define NFS4_MAX_CALLBACKS 64u
