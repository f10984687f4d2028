/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of hosts as an administrator might mistype them. What compiles lets the loopback in only if it says so, and
 * compiles again to the same answer. */
#include "share/hosts.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static gboolean
nobody(const char *name, GArray *addresses)
{
    return TRUE;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    LaresAddress address;
    char *text = g_strndup((const char *)data, MIN(size, 4096));
    char **entries = g_strsplit(text, ",", 20);
    lares_hosts_set_resolver(nobody);
    LaresHosts *hosts = lares_hosts_compile((const char *const *)entries, NULL);
    LaresHosts *again = lares_hosts_compile((const char *const *)entries, NULL);
    if ((hosts == NULL) != (again == NULL))
        abort();
    lares_address_parse(text, &address);
    if (hosts) {
        static const char *const peers[] = {"192.0.2.1", "2001:db8::1", "unix", "::ffff:10.0.0.1", "garbage"};
        for (guint i = 0; i < G_N_ELEMENTS(peers); i++)
            if (lares_hosts_match(hosts, peers[i]) != lares_hosts_match(again, peers[i]))
                abort();
        if (entries[0] && lares_hosts_match(hosts, "garbage"))
            abort();
        if (lares_hosts_match(hosts, text) && entries[0] && entries[1])
            abort(); /* a list is no address */
    }
    lares_hosts_free(hosts);
    lares_hosts_free(again);
    g_strfreev(entries);
    g_free(text);
    return 0;
}
