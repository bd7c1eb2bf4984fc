// Part of every program that is linked with jemalloc, which looks for this name.

/// What is in flight and what is read ahead comes to tens of megabytes at once, a page fault for each 4 KB of which
/// costs more than filling them: huge pages. Each of those is cleared before it is used, for longer than a page of it
/// is worth: so one arena, and large pieces in it too, that few are begun and left half empty.
extern "C" const char* malloc_conf;
const char* malloc_conf = "thp:always,narenas:1,oversize_threshold:0";
