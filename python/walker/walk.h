/* walk.h - reads the gradients of a whole model out of Python's objects in one call.
 *
 * A training loop in Python holds 1,000 tensors in lists and dicts. Python takes 700 ns to read pointer,
 * shape, strides and dtype of one; these functions take 30 ns. They need neither Python's headers nor
 * PyTorch's: ctypes hands them the functions of the running interpreter, and PyTorch's DLPack exchange table
 * describes a tensor. Hold the interpreter's lock during a call (ctypes.PyDLL does). */
#ifndef ONEPASS_PYTHON_WALK_H
#define ONEPASS_PYTHON_WALK_H

#include <stdint.h>

#include "c/onepass_c/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor as DLPack 1.x describes it (DLTensor). */
typedef struct {
  void* data;
  int32_t device_type; /* 1: CPU, 2: CUDA, 3: CUDA's pinned host memory. */
  int32_t device_id;
  int32_t dim_count;
  uint8_t dtype_code; /* 2: IEEE float, 4: bfloat16. */
  uint8_t dtype_bits;
  uint16_t dtype_lanes;
  int64_t* shape;
  int64_t* strides; /* In elements. */
  uint64_t byte_offset;
} onepass_walk_dltensor;

/* Functions and objects of the interpreter. Objects are borrowed and must stay alive. */
typedef struct {
  int32_t (*describe)(void* tensor,
                      onepass_walk_dltensor* to);   /* The exchange table's. -1: an exception is set. */
  void* (*get_attribute)(void* object, void* name); /* PyObject_GetAttr */
  int64_t (*list_size)(void* list);                 /* PyList_Size */
  void* (*list_item)(void* list, int64_t index);    /* PyList_GetItem, a borrowed reference */
  int32_t (*dict_next)(void* dict, int64_t* place, void** key, void** value); /* PyDict_Next */
  int32_t (*is_instance)(void* object, void* type);                           /* PyObject_IsInstance */
  void (*release)(void* object);                                              /* Py_DecRef */
  void (*clear_error)(void);                                                  /* PyErr_Clear */
  void* none;
  void* dict_type;
  void* grad_name;  /* "grad" */
  void* local_name; /* "_local_tensor", the memory of a DTensor. */
} onepass_walk_python;

/* Values of onepass_walk_row.kind. */
enum {
  ONEPASS_WALK_STEPPED = 0, /* An optimizer steps the parameter. */
  ONEPASS_WALK_WAITING = 1, /* No step has met a gradient of the parameter yet. */
  ONEPASS_WALK_OTHER = 2    /* Not read: somebody else steps it. */
};

/* What is known of one parameter since the last look. */
typedef struct {
  void* parameter;     /* The Python object that has the attribute `grad`. */
  void* value;         /* Address of its elements. */
  int32_t kind;        /* ONEPASS_WALK_STEPPED, ... */
  int32_t distributed; /* 1: a DTensor. */
  int32_t device_type; /* As DLPack counts. */
  int32_t device_id;
  int32_t dtype; /* ONEPASS_FLOAT32, ... */
  int32_t dim_count;
  const int64_t* shape;
  const int64_t* strides;
  onepass_tensor* gradient; /* Written: the gradient's memory, or null without one. */
  void* stand_in;           /* Not null: an empty parameter, whose gradient is said to lie here. */
  int32_t unfit;            /* Written: 1 if there is a gradient, but not one that the kernels can read. */
  int32_t reserved;         /* 0 */
} onepass_walk_row;

/* What a walk has found. */
typedef struct {
  int64_t gradients; /* Parameters of kind ONEPASS_WALK_STEPPED that have a gradient. */
  int64_t unfit;     /* Those of them whose `unfit` is 1. */
  int64_t
      changed; /* Gradients that lie elsewhere than at the last walk, have another dtype, or came or went. */
} onepass_walk_found;

/* Reads the gradients of `count` parameters into their rows. Returns 0; or 1 if the rows no longer describe
 * the model: a parameter's memory has moved, or one of kind ONEPASS_WALK_WAITING has a gradient. */
int32_t onepass_walk_gradients(const onepass_walk_python* python, onepass_walk_row* rows, int64_t count,
                               onepass_walk_found* found);

/* What a plan knows, for one call a step. */
typedef struct {
  const onepass_walk_python* python;
  void* const* lists;  /* The objects that the first root held, a list or dict, and the lists and dicts
                          directly in it: */
  int64_t list_count;  /* keys and values in their order. */
  void* const* states; /* The same of the second root. */
  int64_t state_count;
  void* const* tensors; /* States, and where they lie. */
  void* const* addresses;
  int64_t tensor_count;
  onepass_walk_row* rows;
  int64_t row_count;
  int64_t looked;           /* Of the states, the number of the next one whose address is looked at. */
  int64_t looks;            /* States that a call looks at. */
  onepass_walk_found found; /* Written. */
} onepass_walk_plan;

/* Returns 1 if lists and dicts hold the objects that they held, the next states lie where they lay, and
 * onepass_walk_gradients() returns 0; else 0. */
int32_t onepass_walk_holds(onepass_walk_plan* plan, void* lists, void* states);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_PYTHON_WALK_H */
