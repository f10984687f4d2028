/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The doctor: rooms and modules contribute checks, each of what it knows; the verb doctor runs them one after the
 * other, doctor.show tells what they found.
 *
 * Thread: as said per function. */
#pragma once

#include <lares/control.h>

G_BEGIN_DECLS

typedef enum {
    LARES_FINDING_OK,      /* looked at and good */
    LARES_FINDING_NOTE,    /* worth knowing, nothing to mend */
    LARES_FINDING_WARNING, /* works, but not for everybody or not for long */
    LARES_FINDING_ERROR    /* does not work */
} LaresSeverity;

/* A check has so much time; what it finds later is not heard. */
#define LARES_DOCTOR_SECONDS 30

typedef struct _LaresDoctor LaresDoctor; /* one check while it runs */

/* Everything about one area. */
typedef struct {
    const char *area;  /* one word: "kerberos" */
    const char *title; /* what is looked at, in a few words */
    /* Main thread, when a run begins: what check() is given as `material`, copied or referenced, so that it needs
     * nothing of the main thread's later. May be NULL. */
    gpointer (*prepare)(LaresHost *host, gpointer user);
    /* Main thread, when check() has returned, however late. May be NULL. */
    void (*release)(gpointer material);
    /* A thread of its own. May block, but no longer than lares_doctor_left() says: the next check does not wait for one
     * that is late. */
    void (*check)(LaresDoctor *doctor, gpointer material);
} LaresCheck;

/* Main thread, in load(). `checks` is constant data ended by a NULL area; `user` is given to prepare(). A taken area is
 * an error. */
LARES_API gboolean lares_doctor_add(LaresControl *control, const LaresCheck *checks, gpointer user, GError **error);

/* ---- While a check runs: its thread ------------------------------------------------------------------------------ */

/* A finding: `word` names it within its area ("clock": "kerberos.clock"), the sentence says what is, with names and
 * numbers, for somebody who never heard of it; `remedy` is the command (or the line and the file it belongs into) that
 * mends it, NULL when there is nothing to do. */
LARES_API void lares_doctor_find(LaresDoctor *doctor, const char *word, LaresSeverity severity, const char *remedy,
                                 const char *format, ...) G_GNUC_PRINTF(5, 6);
/* Milliseconds that the check has left; 0 also when the server ends. */
LARES_API guint lares_doctor_left(LaresDoctor *doctor);
/* A TCP connection to a numeric address with time-outs of a few seconds set; -1 with error. */
LARES_API int lares_doctor_connect(LaresDoctor *doctor, const LaresPeer *address, GError **error);

/* ---- Logging in to oneself --------------------------------------------------------------------------------------- */

/* The client's half of a login: takes the server's token (NULL and 0 at first), returns the one to send, new. NULL
 * without an error: there is nothing more to send. */
typedef GBytes *(*LaresLoginStep)(gpointer login, const uint8_t *token, size_t len, GError **error);

/* A protocol's way in, for checks that log in to the running server as a client would. */
typedef struct {
    const char *service; /* first part of the principal: "nfs" */
    const char *title;   /* "NFS" */
    gboolean spnego;     /* its tokens are negotiated (RFC 4178); FALSE: of one mechanism alone */
    /* Main thread: where it listens now. FALSE: nowhere, or where nobody connects by address. */
    gboolean (*where)(LaresHost *host, gpointer user, LaresPeer *address);
    /* The thread of a check: exchanges the tokens over the connected `fd`, which it neither closes nor keeps. FALSE
     * with error: the server's refusal, or what was wrong with its answer. Must touch nothing of the main thread's. */
    gboolean (*log_in)(gpointer user, int fd, LaresLoginStep step, gpointer login, GError **error);
} LaresSelfLogin;

/* Main thread, in load(). `login` is constant data. */
LARES_API void lares_doctor_add_login(LaresControl *control, const LaresSelfLogin *login, gpointer user);

typedef struct {
    const LaresSelfLogin *login;
    gpointer user;
    gboolean listens;
    gboolean everywhere; /* on all addresses of this machine; `address` is loopback then */
    LaresPeer address;
} LaresSelfPlace;

/* Main thread, for prepare(): all of them as they are now; g_array_unref(). */
LARES_API GArray *lares_doctor_places(LaresHost *host);

G_END_DECLS
