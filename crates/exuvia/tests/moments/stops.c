/* A library that stands still in a chosen moment: it says READY on its stdout and goes on when a byte comes on its stdin.
 * Built once for all releases: what it uses of CPython is the stable ABI (PEP 384), written down here so that no header is needed. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct object { intptr_t refcnt; void *type; struct object *held; } Object;
typedef int (*visitproc)(Object *, void *);
typedef struct { int slot; void *function; } Slot;
typedef struct { const char *name; int basicsize, itemsize; unsigned flags; Slot *slots; } Spec;
typedef struct { void *context; void *(*malloc)(void *, size_t); void *(*calloc)(void *, size_t, size_t); void *(*realloc)(void *, void *, size_t); void (*free)(void *, void *); } Allocator;
extern Object *PyType_FromSpec(Spec *);
extern Object *PyType_GenericAlloc(Object *, intptr_t);
extern void PyObject_GC_UnTrack(void *);
extern void PyObject_GC_Del(void *);
extern void Py_IncRef(Object *);
extern void Py_DecRef(Object *);
extern void PyMem_GetAllocator(int, Allocator *) __attribute__((weak));
extern void PyMem_SetAllocator(int, Allocator *) __attribute__((weak));

void here(void)
{
    char byte;
    if (write(1, "READY\n", 6) != 6) _exit(9);
    while (read(0, &byte, 1) < 0 && errno == EINTR) {}
}

/* The nth call of a slot that stands still; 0 for none. */
static int at_traverse, at_clear;
static int traverse(Object *self, visitproc visit, void *arg)
{
    if (at_traverse && !--at_traverse) here();
    return self->held ? visit(self->held, arg) : 0;
}
static int clear(Object *self)
{
    Object *held = self->held;
    if (at_clear && !--at_clear) here();
    self->held = NULL;
    if (held) Py_DecRef(held);
    return 0;
}
static void dealloc(Object *self)
{
    PyObject_GC_UnTrack(self);
    clear(self);
    PyObject_GC_Del(self);
}
static Slot slots[] = {{71, traverse}, {51, clear}, {52, dealloc}, {0, 0}};
/* Py_TPFLAGS_HAVE_GC and Py_TPFLAGS_DEFAULT's HAVE_VERSION_TAG. */
static Spec spec = {"moments.Stop", sizeof(Object), 0, 1u << 14 | 1u << 18, slots};

Object *make(Object *held)
{
    static Object *type;
    Object *self;
    if (!type) type = PyType_FromSpec(&spec);
    self = PyType_GenericAlloc(type, 0);
    Py_IncRef(held);
    self->held = held;
    return self;
}
void arm(int nth_traverse, int nth_clear) { at_traverse = nth_traverse; at_clear = nth_clear; }

/* Allocators of CPython: stand still when the block for a new table is asked for, when the old one is freed, or when one has moved. */
static Allocator under[3];
static size_t new_from;
static void *old_block, *moved_block;
static void *hooked_malloc(void *c, size_t n)
{
    if (new_from && n >= new_from) { new_from = 0; here(); }
    return under[(intptr_t)c].malloc(under[(intptr_t)c].context, n);
}
static void *hooked_calloc(void *c, size_t n, size_t each) { return under[(intptr_t)c].calloc(under[(intptr_t)c].context, n, each); }
static void *hooked_realloc(void *c, void *at, size_t n)
{
    int stop = at && at == moved_block;
    at = under[(intptr_t)c].realloc(under[(intptr_t)c].context, at, n);
    if (stop) { moved_block = NULL; here(); }
    return at;
}
static void hooked_free(void *c, void *at)
{
    if (at && at == old_block) { old_block = NULL; here(); }
    under[(intptr_t)c].free(under[(intptr_t)c].context, at);
}
void hook(size_t from, void *old, void *moved)
{
    for (intptr_t domain = 1; domain < 3; domain++) {
        Allocator mine = {(void *)domain, hooked_malloc, hooked_calloc, hooked_realloc, hooked_free};
        PyMem_GetAllocator((int)domain, &under[domain]);
        PyMem_SetAllocator((int)domain, &mine);
    }
    new_from = from;
    old_block = old;
    moved_block = moved;
}

/* fork: handlers that stand still in the parent before and after, or in the child. */
static int at_fork;
static void prepare(void) { if (at_fork == 1) { at_fork = 0; here(); } }
static void parent(void) { if (at_fork == 2) { at_fork = 0; here(); } }
static void child(void) { if (at_fork == 3) { at_fork = 0; here(); } }
void fork_stops(int where) { at_fork = where; pthread_atfork(prepare, parent, child); }

/* A child that shares the memory and stands still before it ends: the parent waits in the kernel. */
int vforked(void)
{
    int status = -1;
    pid_t pid = vfork();
    if (pid == 0) { here(); _exit(7); }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

/* In malloc, with its lock held, in a signal handler on a stack of its own: the rest of the heap is made unwritable, malloc faults in
 * the middle of splitting its last chunk, and the handler stands still. */
static char *guarded;
static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number; (void)context;
    if ((char *)info->si_addr < guarded) _exit(8);
    here();
    mprotect(guarded, (char *)sbrk(0) - guarded, PROT_READ | PROT_WRITE);
}
size_t in_malloc(void)
{
    static char room[65536];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, before;
    void *blocks[4096];
    size_t n = 0, whole = 0;
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, &before);
    guarded = (char *)(((uintptr_t)sbrk(0) - 8192) & ~(uintptr_t)4095);
    mprotect(guarded, (char *)sbrk(0) - guarded, PROT_READ);
    /* Larger than what thread caches and fast bins hold, smaller than what is mapped. */
    while (n < 4096 && (char *)sbrk(0) - guarded <= 8192 + 4096) { blocks[n] = malloc(3000); whole += malloc_usable_size(blocks[n]) >= 3000; n++; }
    sigaction(SIGSEGV, &before, NULL);
    for (size_t i = 0; i < n; i++) free(blocks[i]);
    return whole == n && n < 4096;
}
