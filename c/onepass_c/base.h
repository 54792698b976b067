/* base.h - version, status, devices and memory. A part of onepass.h. */
#ifndef ONEPASS_C_BASE_H
#define ONEPASS_C_BASE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The number of the binary interface that this header describes. Libraries and programs of one number fit
 * together, whichever is newer; functions and members of structs are added without a new number. */
#define ONEPASS_ABI 1

/* Returns ONEPASS_ABI of the library that was loaded. */
int32_t onepass_abi(void);

/* Returns the version of the library, such as "0.2.0". */
const char* onepass_version(void);

/* Status codes, the return values of functions that can fail. */
enum {
  ONEPASS_OK = 0,
  ONEPASS_INVALID_ARGUMENT = 1,  /* An argument is invalid; the call has changed nothing. */
  ONEPASS_CUDA_ERROR = 2,        /* A call of the CUDA runtime or a kernel launch failed. */
  ONEPASS_OUT_OF_MEMORY = 3,     /* There is not enough memory. */
  ONEPASS_OTHER_ERROR = 4,       /* Any other failure. */
  ONEPASS_FILE_ERROR = 5,        /* A file could not be opened, read or written. */
  ONEPASS_NONFINITE_GRADIENT = 6 /* A step found a gradient that is not finite; see onepass_check(). */
};

/* Returns a sentence about the last call in this thread that failed, or an empty string if none has. Never
 * null. It is valid until another call in this thread fails. */
const char* onepass_last_error(void);

/* Number formats of the elements of a tensor. */
enum {
  ONEPASS_FLOAT32 = 0,
  ONEPASS_BFLOAT16 = 1,
  ONEPASS_FLOAT16 = 2,
  ONEPASS_UINT16 = 3, /* Bits of a remainder; only in states. */
  ONEPASS_UINT8 = 4,  /* Bits of a remainder, or codes of a quantised state; only in states. */
  ONEPASS_INT64 = 5,  /* Counts of steps, and partial sums. */
  ONEPASS_FLOAT64 = 6 /* Scalars: numbers that a rule carries for a parameter. */
};

/* Values of `device`: ONEPASS_CPU, or the number of a CUDA device, counted from 0. */
enum { ONEPASS_CPU = -1 };

/* A view of `numel` elements of one format that lie one after the other, aligned to their size. */
typedef struct {
  uint32_t size;
  int32_t dtype; /* ONEPASS_FLOAT32, ... */
  void* data;
  int64_t numel;
} onepass_tensor;

/* A name and a text, for example of a checkpoint's metadata. */
typedef struct {
  const char* name;
  const char* text;
} onepass_text;

/* A list of texts that a function returned. */
typedef struct onepass_texts onepass_texts;
int onepass_texts_count(const onepass_texts* texts, int64_t* count);
/* Writes a text of the list by its index, counted from 0. It is valid as long as the list. */
int onepass_texts_at(const onepass_texts* texts, int64_t index, const char** text);
void onepass_texts_destroy(onepass_texts* texts);

/* Returns the number of usable CUDA devices: 0, without an error, if the machine has no driver or no device.
 */
int32_t onepass_cuda_device_count(void);
/* Writes a readable name of a device, "cpu (avx512, 2 threads)" or the GPU's product name. It is valid until
 * the next text. */
int onepass_device_name(int32_t device, const char** name);

/* Memory on a device. On the CPU it is aligned to 64 bytes, and large buffers ask for huge pages. */
typedef struct onepass_buffer onepass_buffer;
/* Allocates `bytes` bytes, whose contents are undefined. On CUDA allocation and release are ordered on
 * `stream`, which must outlive the buffer. */
int onepass_buffer_create(int32_t device, int64_t bytes, void* stream, onepass_buffer** buffer);
/* Returns the address of the first byte, on the device; null if `buffer` is null or empty. */
void* onepass_buffer_data(const onepass_buffer* buffer);
void onepass_buffer_destroy(onepass_buffer* buffer);

/* Copies `bytes` bytes within a device or between two. Between CUDA and the CPU it waits for `stream`. */
int onepass_copy(int32_t to_device, void* to, int32_t from_device, const void* from, int64_t bytes,
                 void* stream);
/* Writes `bytes` bytes of zeros. */
int onepass_fill_zero(int32_t device, void* to, int64_t bytes, void* stream);
/* Waits until all work queued on `stream` of the device is done. */
int onepass_synchronize(int32_t device, void* stream);

/* Instruction sets of the CPU backend. All give the same bits. */
enum {
  ONEPASS_ISA_BEST = 0, /* ONEPASS_ISA of the environment if set, else the widest that the machine has. */
  ONEPASS_ISA_BASELINE = 1,
  ONEPASS_ISA_AVX2 = 2,
  ONEPASS_ISA_AVX512 = 3,
  ONEPASS_ISA_AVX512_BF16 = 4
};

/* The defaults of the CPU backend, which count if an optimizer's options do not say otherwise. */
typedef struct {
  uint32_t size;
  int32_t isa;         /* ONEPASS_ISA_BASELINE, ... */
  int32_t threads;     /* ONEPASS_THREADS of the environment if set, else all available processors. */
  int32_t pool;        /* ONEPASS_POOL_OWN or ONEPASS_POOL_OPENMP; see onepass_options. */
  int64_t cache_bytes; /* Size of the last cache before memory. */
} onepass_cpu;
/* Describes the CPU. Returns ONEPASS_INVALID_ARGUMENT if a variable of the environment is out of range. */
int onepass_describe_cpu(onepass_cpu* cpu);
/* Writes 1 to *available if this machine and this library have an instruction set, else 0. */
int onepass_isa_available(int32_t isa, int32_t* available);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_BASE_H */
