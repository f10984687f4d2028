/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A share in a fresh folder and a store-posix over it, for the tests of store-posix. */
#pragma once

#include "posix.h"
#include "store-test.h"

#include <glib/gstdio.h>

extern char *base_dir; /* where shares are made */

typedef struct {
    char *dir;   /* the share's root */
    char *state; /* the daemon's state directory */
    LaresStore *s;
    LaresNode *root;
    LaresCred me;
} Fixture;

LaresStore *fixture_open_store(Fixture *f, gboolean no_handles);
void fixture_set_up(Fixture *f, gconstpointer no_handles);
void fixture_tear_down(Fixture *f, gconstpointer no_handles);
/* As after a restart of the daemon. */
void fixture_reopen(Fixture *f, gboolean no_handles);
/* Reads the folder from the command line, runs, cleans up. */
int fixture_main(int *argc, char ***argv, void (*add_tests)(void));
