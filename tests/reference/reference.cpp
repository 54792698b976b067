// reference.cpp - compiles the reference on its own, without any include path of the library.
#include "reference/adam.hpp"
#include "reference/adamw.hpp"
#include "reference/rmsprop.hpp"
#include "reference/sgd.hpp"
