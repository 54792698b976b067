/* walk.c - reads the gradients of a whole model out of Python's objects. */
#include "python/walker/walk.h"

#include <stddef.h>

typedef onepass_walk_python Python;
typedef onepass_walk_dltensor Described;

enum { kFloat = 2, kBfloat = 4 };

/* Describes a tensor. Returns 0 if that is impossible, for example of a sparse one. */
static int described(const Python* python, void* tensor, Described* to) {
  if (python->describe(tensor, to) == 0) return 1;
  python->clear_error();
  return 0;
}

static void* address(const Described* tensor) {
  return tensor->data == NULL ? NULL : (char*)tensor->data + tensor->byte_offset;
}

/* Returns ONEPASS_FLOAT32, ... of a tensor, or -1 if its elements are none of these. */
static int32_t dtype_of(const Described* tensor) {
  if (tensor->dtype_lanes != 1) return -1;
  if (tensor->dtype_code == kBfloat && tensor->dtype_bits == 16) return ONEPASS_BFLOAT16;
  if (tensor->dtype_code != kFloat) return -1;
  return tensor->dtype_bits == 32 ? ONEPASS_FLOAT32 : tensor->dtype_bits == 16 ? ONEPASS_FLOAT16 : -1;
}

/* Returns whether a gradient's elements lie in the order of the parameter's. Strides of dimensions of size 1
 * say nothing. */
static int same_layout(const Described* gradient, const onepass_walk_row* row) {
  if (gradient->dim_count != row->dim_count) return 0;
  for (int32_t d = 0; d < row->dim_count; ++d) {
    if (gradient->shape[d] != row->shape[d]) return 0;
    if (row->shape[d] != 1 && gradient->strides[d] != row->strides[d]) return 0;
  }
  return 1;
}

static int fits(const Described* gradient, const onepass_walk_row* row) {
  const int32_t dtype = dtype_of(gradient);
  return (dtype == row->dtype || dtype == ONEPASS_FLOAT32) && gradient->device_type == row->device_type &&
         gradient->device_id == row->device_id && same_layout(gradient, row) &&
         (gradient->data != NULL || row->stand_in != NULL);
}

/* Returns a new reference to the tensor that owns the memory of `object`, which may be a DTensor; null
 * without one. */
static void* memory_of(const Python* python, void* object, int32_t distributed) {
  void* const local = python->get_attribute(object, distributed ? python->local_name : python->grad_name);
  if (local == NULL) python->clear_error();
  return local;
}

/* Returns a new reference to the gradient of a row's parameter, of a DTensor its local part; null if it has
 * none. */
static void* gradient_of(const Python* python, const onepass_walk_row* row) {
  void* gradient = memory_of(python, row->parameter, 0);
  if (gradient == python->none) {
    python->release(gradient);
    return NULL;
  }
  if (gradient == NULL || !row->distributed) return gradient;
  void* const local = memory_of(python, gradient, 1);
  python->release(gradient);
  return local;
}

static int value_stayed(const Python* python, const onepass_walk_row* row) {
  void* const local = row->distributed ? memory_of(python, row->parameter, 1) : row->parameter;
  Described value;
  const int stayed = local != NULL && described(python, local, &value) && address(&value) == row->value;
  if (row->distributed && local != NULL) python->release(local);
  return stayed;
}

/* Writes where a row's gradient lies: null without one, and where the kernels cannot read it. */
static void write_gradient(onepass_walk_row* row, void* data, int32_t dtype, onepass_walk_found* found) {
  found->changed += row->gradient->data != data || row->gradient->dtype != dtype;
  row->gradient->data = data;
  row->gradient->dtype = dtype;
}

static void read_gradient(const Python* python, void* gradient, onepass_walk_row* row,
                          onepass_walk_found* found) {
  Described tensor;
  row->unfit = 0;
  if (gradient == NULL) {
    write_gradient(row, NULL, row->gradient->dtype, found);
    return;
  }
  found->gradients += 1;
  if (described(python, gradient, &tensor) && fits(&tensor, row)) {
    write_gradient(row, row->stand_in != NULL ? row->stand_in : address(&tensor), dtype_of(&tensor), found);
  } else {
    row->unfit = 1;
    found->unfit += 1;
    found->changed += 1;
  }
}

int32_t onepass_walk_gradients(const onepass_walk_python* python, onepass_walk_row* rows, int64_t count,
                               onepass_walk_found* found) {
  found->gradients = found->unfit = found->changed = 0;
  for (int64_t i = 0; i < count; ++i) {
    onepass_walk_row* const row = rows + i;
    if (row->kind == ONEPASS_WALK_OTHER) continue;
    void* const gradient = gradient_of(python, row);
    const int came = row->kind == ONEPASS_WALK_WAITING && gradient != NULL;
    if (row->kind == ONEPASS_WALK_STEPPED) read_gradient(python, gradient, row, found);
    if (gradient != NULL) python->release(gradient);
    if (came || (row->kind == ONEPASS_WALK_STEPPED && !value_stayed(python, row))) return 1;
  }
  return 0;
}

/* Returns whether `count` tensors lie where they did. A DTensor's object is its local tensor. */
static int stayed(const Python* python, void* const* tensors, void* const* addresses, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    Described tensor;
    if (!described(python, tensors[i], &tensor) || address(&tensor) != addresses[i]) return 0;
  }
  return 1;
}

/* Compares the objects that lists and dicts hold with those that they held. */
typedef struct {
  const Python* python;
  void* const* known;
  int64_t known_count;
  int64_t count;
  int differs;
} Visit;

static void visit(Visit* to, void* object) {
  to->differs |= to->count >= to->known_count || to->known[to->count] != object;
  ++to->count;
}

static void visit_dict(Visit* to, void* dict, int depth);

static void visit_value(Visit* to, void* value, int depth) {
  visit(to, value);
  if (depth == 0) return;
  if (to->python->is_instance(value, to->python->dict_type) == 1) {
    visit_dict(to, value, depth - 1);
    return;
  }
  const int64_t size = to->python->list_size(value);
  if (size < 0) to->python->clear_error();
  for (int64_t i = 0; i < size; ++i) visit(to, to->python->list_item(value, i));
}

static void visit_dict(Visit* to, void* dict, int depth) {
  int64_t place = 0;
  void *key, *value;
  while (!to->differs && to->python->dict_next(dict, &place, &key, &value) != 0) {
    visit(to, key);
    visit_value(to, value, depth);
  }
}

static int same(const Python* python, void* root, void* const* known, int64_t count) {
  Visit to = {python, known, count, 0, 0};
  if (python->is_instance(root, python->dict_type) == 1) {
    visit_dict(&to, root, 1);
  } else {
    const int64_t size = python->list_size(root);
    if (size < 0) python->clear_error();
    for (int64_t i = 0; i < size && !to.differs; ++i) visit_value(&to, python->list_item(root, i), 1);
  }
  return !to.differs && to.count == count;
}

static int next_stayed(onepass_walk_plan* plan) {
  const int64_t first = plan->looked < plan->tensor_count ? plan->looked : 0;
  const int64_t left = plan->tensor_count - first;
  plan->looked = first + plan->looks;
  return stayed(plan->python, plan->tensors + first, plan->addresses + first,
                left < plan->looks ? left : plan->looks);
}

int32_t onepass_walk_holds(onepass_walk_plan* plan, void* lists, void* states) {
  return same(plan->python, lists, plan->lists, plan->list_count) &&
         same(plan->python, states, plan->states, plan->state_count) && next_stayed(plan) &&
         onepass_walk_gradients(plan->python, plan->rows, plan->row_count, &plan->found) == 0;
}
