"""torch_layouts.py - the tensor sizes of the measured models, equal to those of bench/cases/layouts.cpp."""


def resnet50():
    """torchvision's ResNet-50 with 1,000 classes: convolutions without bias, each followed by batch normalisation."""
    sizes = []

    def convolution(inputs, outputs, kernel):
        sizes.extend((outputs * inputs * kernel * kernel, outputs, outputs))

    convolution(3, 64, 7)
    inputs = 64
    for width, bottlenecks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for bottleneck in range(bottlenecks):
            convolution(inputs, width, 1)
            convolution(width, width, 3)
            convolution(width, 4 * width, 1)
            if bottleneck == 0:
                convolution(inputs, 4 * width, 1)
            inputs = 4 * width
    return sizes + [inputs * 1000, 1000]


def gpt2():
    """GPT-2 with 124M parameters, its output tied to its input embedding."""
    width = 768
    layer = [width, width, 3 * width * width, 3 * width, width * width, width]
    layer += [width, width, 4 * width * width, 4 * width, 4 * width * width, width]
    return [50257 * width, 1024 * width] + 12 * layer + [width, width]


def llama8b(layers):
    """Decoder layers of Llama 3 8B. The model has 32 of them."""
    width, keys, hidden = 4096, 1024, 14336
    return layers * ([width * width, keys * width, keys * width, width * width] + 3 * [hidden * width] + [width, width])


def layout(name):
    """Returns the tensor sizes of a layout: "1e6", "resnet50", "gpt2", "llama8b_2layers" or "1000x1000". Raises
    ValueError for an unknown name."""
    if name == "resnet50":
        return resnet50()
    if name == "gpt2":
        return gpt2()
    for layers in range(1, 33):
        if name == f"llama8b_{layers}layer{'s' * (layers > 1)}":
            return llama8b(layers)
    try:
        if "x" in name:
            count, each = (int(part) for part in name.split("x"))
            sizes = [each] * count
        else:
            sizes = [int(float(name))]
    except (ValueError, OverflowError):
        sizes = []
    if not sizes or min(sizes) < 1:
        raise ValueError(f"there is no layout {name}; choose from resnet50, gpt2, llama8b_1layer to "
                         "llama8b_32layers, a size as in 1e6, or tensors x elements as in 1000x1000")
    return sizes
