/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The provider of the flavor ntlm: NTLMv2 for users who have an NT hash, and guests.
 *
 * Thread: configured in the main thread; contexts on any.
 * Locks: one of the failures' table, and one of each context's message keys; leaves. */
#pragma once

#include "ntlm-message.h"

#include <lares/auth.h>

#define NTLM_ROOM "auth-ntlm"
#define NTLM_KIND "nt-hash" /* of the directory's secrets */

#define LARES_TYPE_NTLM_PROVIDER (lares_ntlm_provider_get_type())
G_DECLARE_FINAL_TYPE(LaresNtlmProvider, lares_ntlm_provider, LARES, NTLM_PROVIDER, GObject)
#define LARES_TYPE_NTLM_CONTEXT (lares_ntlm_context_get_type())
G_DECLARE_FINAL_TYPE(LaresNtlmContext, lares_ntlm_context, LARES, NTLM_CONTEXT, GObject)

typedef struct {
    const char *host;   /* "nas.home.lan" */
    const char *domain; /* "home.lan" */
    gboolean guest;     /* unknown names are guests */
    /* LARES_OK with the hash; LARES_ACCESS: not switched on for this user; LARES_NOENT: no such user. */
    LaresStatus (*find)(const char *user, uint8_t hash[16], gpointer data);
    gpointer data;
} NtlmConfig;

LaresNtlmProvider *lares_ntlm_provider_new(void);
void lares_ntlm_provider_configure(LaresNtlmProvider *self, const NtlmConfig *config);

/* For contexts. */
const NtlmNames *lares_ntlm_provider_names(LaresNtlmProvider *self);
gboolean lares_ntlm_provider_guest(LaresNtlmProvider *self);
/* Finds the user under the name the client gave, also in lower case; *name is the directory's. g_free. */
LaresStatus lares_ntlm_provider_find(LaresNtlmProvider *self, const char *given, char **name, uint8_t hash[16]);
/* Whether this user may be tried from this address now; who fails ten times in a row has to wait. */
gboolean lares_ntlm_provider_may_try(LaresNtlmProvider *self, const char *user, const char *address);
/* A number for this hash, of this process: says nothing about it to whoever sees it. */
uint64_t lares_ntlm_provider_credential(LaresNtlmProvider *self, const uint8_t hash[16]);
void lares_ntlm_provider_tried(LaresNtlmProvider *self, const char *user, const char *address, gboolean ok);

LaresAuthContext *lares_ntlm_context_new(LaresNtlmProvider *provider, const LaresPeer *peer);
