/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Laid out by hand: must be refused. */
int a( int b ){return b;}
