/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A share in a fresh folder and a store-posix over it, for the tests of store-posix. */
#pragma once

#include "files/files-private.h"
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
/* The same with what core/files needs to work on it; fixture_tear_down() is not called besides. */
typedef struct {
    Fixture f;
    LaresFiles files;
    LaresShare share;
    LaresIdentity identity; /* who runs this */
    LaresFlavor flavor;
    LaresArena *arena;
    LaresCaller caller;
    LaresObject root;
} FilesFixture;

void files_fixture_set_up(FilesFixture *r);
void files_fixture_tear_down(FilesFixture *r);
/* Something new of mode 0755, through core/files; `out` goes back by files_fixture_drop(). */
void files_fixture_make(FilesFixture *r, const LaresObject *dir, const char *name, LaresFileType type,
                        LaresObject *out);
void files_fixture_drop(LaresObject *o);

/* Reads the folder from the command line, runs, cleans up. */
int fixture_main(int *argc, char ***argv, void (*add_tests)(void));
/* FALSE: the test is skipped. */
gboolean need_root(void);
