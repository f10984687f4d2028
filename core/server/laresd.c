/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* laresd: everything is in the library, see server.h. */
#include "server/server.h"

int
main(int argc, char **argv)
{
    return lares_server_main(argc, argv);
}
