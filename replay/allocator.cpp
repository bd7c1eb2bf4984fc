// Part of every program that is linked with jemalloc, which looks for this name.

/// What is in flight and what is read ahead comes to tens of megabytes at once, a page fault for each 4 KB of which
/// costs more than filling them.
extern "C" const char* malloc_conf;
const char* malloc_conf = "thp:always";
