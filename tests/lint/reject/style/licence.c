/* Nobody says under which licence: must be refused. */
int a;
