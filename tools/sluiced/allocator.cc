// new and delete from mimalloc: heaps per thread suit shards that share nothing. Not under sanitizers, which
// bring their own.
#ifndef SLUICE_SANITIZED
#include <mimalloc-new-delete.h>
#endif
