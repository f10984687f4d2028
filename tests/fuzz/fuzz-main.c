/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target without libFuzzer: every file of the given folders, then a fixed number of
 * rounds of random edits of them. The seed is printed; `-s SEED` repeats a run.
 *
 * Usage: fuzz-x [-r ROUNDS] [-s SEED] FILE-OR-FOLDER... */
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_LIMIT 4096u

static void
load(GPtrArray *corpus, const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    char *text;
    gsize len;

    if (dir == NULL) {
        if (g_file_get_contents(path, &text, &len, NULL))
            g_ptr_array_add(corpus, g_bytes_new_take(text, len));
        return;
    }
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        load(corpus, child);
    }
}

static size_t
mutate(GRand *r, uint8_t *data, size_t len)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff, 4, 5, 16};

    for (int edits = g_rand_int_range(r, 1, 6); edits > 0; edits--) {
        size_t at = len > 0 ? (size_t)g_rand_int(r) % len : 0;

        switch (g_rand_int_range(r, 0, 5)) {
        case 0:
            if (len > 0)
                data[at] ^= (uint8_t)(1 << g_rand_int_range(r, 0, 8));
            break;
        case 1:
            if (len > 0)
                data[at] = odd[(size_t)g_rand_int(r) % sizeof odd];
            break;
        case 2:
            len = at;
            break;
        case 3:
            if (len < INPUT_LIMIT)
                data[len++] = (uint8_t)g_rand_int(r);
            break;
        default:
            if (len > 0)
                data[at] = (uint8_t)g_rand_int(r);
            break;
        }
    }
    return len;
}

static void
rounds(GPtrArray *corpus, uint32_t seed, unsigned long n)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(seed);
    uint8_t buffer[INPUT_LIMIT];

    for (; n > 0; n--) {
        size_t len = 0;

        if (corpus->len > 0) {
            gsize size;
            const void *p = g_bytes_get_data(corpus->pdata[g_rand_int(r) % corpus->len], &size);
            len = MIN(size, sizeof buffer);
            if (len > 0)
                memcpy(buffer, p, len);
        }
        len = mutate(r, buffer, len);
        uint8_t *exact = malloc(len > 0 ? len : 1); /* a sanitizer sees the first byte too many */
        memcpy(exact, buffer, len);
        LLVMFuzzerTestOneInput(exact, len);
        free(exact);
    }
}

int
main(int argc, char **argv)
{
    g_autoptr(GPtrArray) corpus = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    unsigned long n = 0;
    uint32_t seed = 1;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-r") == 0 && i + 1 < argc)
            n = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc)
            seed = (uint32_t)strtoul(argv[++i], NULL, 10);
        else
            load(corpus, argv[i]);
    }
    for (guint i = 0; i < corpus->len; i++) {
        gsize size;
        const void *p = g_bytes_get_data(corpus->pdata[i], &size);
        LLVMFuzzerTestOneInput(p, size);
    }
    rounds(corpus, seed, n);
    printf("%u inputs, %lu rounds, seed %u\n", corpus->len, n, seed);
    return 0;
}
