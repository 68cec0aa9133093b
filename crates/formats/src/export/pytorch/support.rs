//! Modules that PyTorch lacks, written into the file if they are used.

/// Names of all modules here.
pub(super) const NAMES: &[&str] = &[
    "Attention",
    "ChannelNorm",
    "DeformConv2d",
    "LayerScale",
    "ResampledConv2d",
    "SqueezeExcite",
    "SqueezeExcite1d",
    "SqueezeExcite3d",
    "Tensor",
    "pixel_shuffle",
    "pixel_unshuffle",
];

const ATTENTION: &str = r#"

class Attention(nn.Module):
    """Scaled dot-product attention (Vaswani et al. 2017) with a learned bias and a fixed mask of its scores."""

    def __init__(self, bias=None, mask=None, scale=None):
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(torch.zeros(bias))
        self.register_buffer("mask", None if mask is None else torch.zeros(mask))
        self.scale = scale

    def forward(self, q, k, v, *more):
        added = sum(term for term in (*more, self.bias, self.mask) if term is not None)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=added, scale=self.scale)
"#;

const CHANNEL_NORM: &str = r#"

class ChannelNorm(nn.LayerNorm):
    """Normalises the channels of each place."""

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)
"#;

const LAYER_SCALE: &str = r#"

class LayerScale(nn.Module):
    """A learned factor for each channel (Touvron et al. 2021)."""

    def __init__(self, channels, init=1e-06, shape=(-1,)):
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), init))
        self.shape = shape

    def forward(self, x):
        return x * self.weight.view(self.shape)
"#;

const SQUEEZE_EXCITE: &str = r#"

class SqueezeExcite@SUFFIX@(nn.Module):
    """Every channel times a gate that sees all channels over all of space (Hu et al. 2018)."""

    def __init__(self, channels, squeeze, bias=True, activation=nn.ReLU, gate=nn.Sigmoid):
        super().__init__()
        self.fc1 = nn.Conv@RANK@d(channels, squeeze, 1, bias=bias)
        self.activation = activation()
        self.fc2 = nn.Conv@RANK@d(squeeze, channels, 1, bias=bias)
        self.gate = gate()

    def forward(self, x):
        mean = x.mean(tuple(range(2, x.dim())), keepdim=True)
        return x * self.gate(self.fc2(self.activation(self.fc1(mean))))
"#;

const DEFORM_CONV: &str = r#"

class DeformConv2d(nn.Conv2d):
    """Deformable convolution whose offsets a convolution computes (Dai et al. 2017, Zhu et al. 2019)."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1,
                 bias=True, pad=None, offset_groups=1, modulated=False, offset_dilation=None,
                 offset_padding=None):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.pad, self.modulated = pad, modulated
        self.offset = nn.Conv2d(
            in_channels, (3 if modulated else 2) * offset_groups * kernel_size[0] * kernel_size[1],
            kernel_size, stride, padding if offset_padding is None else offset_padding,
            dilation if offset_dilation is None else offset_dilation,
        )
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, x):
        if self.pad is not None:
            x = F.pad(x, self.pad)
        offset, mask = self.offset(x), None
        if self.modulated:
            offset, mask = offset.split([offset.shape[1] // 3 * 2, offset.shape[1] // 3], dim=1)
            mask = mask.sigmoid()
        return deform_conv2d(
            x, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask)
"#;

const RESAMPLED_CONV: &str = r#"

class ResampledConv2d(nn.Conv2d):
    """Each channel is resampled at offsets of its own, then convolved (felixlaumon/deform-conv)."""

    def __init__(self, in_channels, *args, pad=None, **kwargs):
        super().__init__(in_channels, *args, **kwargs)
        self.pad = pad
        self.offset = nn.Conv2d(in_channels, 2 * in_channels, 3, padding=1, bias=False)

    def forward(self, x):
        batch, channels, height, width = x.shape
        dy, dx = self.offset(x).view(batch * channels, 2, height, width).unbind(1)
        y = torch.arange(height, device=x.device).view(-1, 1) + dy
        x_ = torch.arange(width, device=x.device) + dx
        # The centre of pixel p of n is at (2 p + 1) / n - 1.
        grid = torch.stack([(2 * x_ + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
        maps = x.reshape(batch * channels, 1, height, width)
        moved = F.grid_sample(maps, grid, padding_mode="zeros", align_corners=False)
        moved = moved.view_as(x)
        return super().forward(moved if self.pad is None else F.pad(moved, self.pad))
"#;

const PIXEL_SHUFFLE: &str = r#"

def pixel_shuffle(x, factor):
    """nn.PixelShuffle for any number of spatial axes."""
    n = x.dim() - 2
    x = x.unflatten(1, (-1, *[factor] * n))
    order = [axis for i in range(n) for axis in (2 + n + i, 2 + i)]
    x = x.permute(0, 1, *order)
    for axis in range(n):
        x = x.flatten(2 + axis, 3 + axis)
    return x
"#;

const PIXEL_UNSHUFFLE: &str = r#"

def pixel_unshuffle(x, factor):
    """nn.PixelUnshuffle for any number of spatial axes."""
    n = x.dim() - 2
    for axis in range(n):
        x = x.unflatten(2 + 2 * axis, (-1, factor))
    x = x.permute(0, 1, *range(3, 3 + 2 * n, 2), *range(2, 2 + 2 * n, 2))
    return x.flatten(1, 1 + n)
"#;

const TENSOR: &str = r#"

class Tensor(nn.Module):
    """A tensor of its own, learned or fixed."""

    def __init__(self, shape, learned=True):
        super().__init__()
        if learned:
            self.weight = nn.Parameter(torch.zeros(shape))
        else:
            self.register_buffer("weight", torch.zeros(shape))

    def forward(self):
        return self.weight

    def of(self, x):
        """One for each image of the batch `x`."""
        return self.weight.expand(x.shape[0], *self.weight.shape)
"#;

/// Returns the text of the modules that `code` uses.
pub(super) fn used(code: &str) -> String {
    let squeeze =
        |suffix: &str, rank: &str| SQUEEZE_EXCITE.replace("@SUFFIX@", suffix).replace("@RANK@", rank);
    let all = [
        (" Attention(", ATTENTION.to_owned()),
        ("ChannelNorm(", CHANNEL_NORM.to_owned()),
        ("LayerScale(", LAYER_SCALE.to_owned()),
        ("SqueezeExcite(", squeeze("", "2")),
        ("SqueezeExcite1d(", squeeze("1d", "1")),
        ("SqueezeExcite3d(", squeeze("3d", "3")),
        ("DeformConv2d(", DEFORM_CONV.to_owned()),
        ("ResampledConv2d(", RESAMPLED_CONV.to_owned()),
        (" Tensor(", TENSOR.to_owned()),
        (" pixel_shuffle(", PIXEL_SHUFFLE.to_owned()),
        (" pixel_unshuffle(", PIXEL_UNSHUFFLE.to_owned()),
    ];
    all.into_iter().filter(|(word, _)| code.contains(word)).map(|(_, text)| text).collect()
}
