"""The C99 of which model.h is made: a function for each kind of layer and each activation. @ stands for the model's prefix.

An image lies row by row, channels last, as in `MLP.forward`. Counts are `long`, since `int` has 16 bits on small processors.
"""

DENSE = """\
static inline void @_dense(const float *a, const float *W, const float *b, long fan_in, long units, float *z)
{
    for (long j = 0; j < units; j++) {
        float sum = b[j];
        for (long i = 0; i < fan_in; i++)
            sum += W[j * fan_in + i] * a[i];
        z[j] = sum;
    }
}
"""

CONV = """\
static inline void @_conv(const float *a, const float *W, const float *b, long height, long width, long channels,
                          long rows, long columns, long maps, long high, long wide, long down, long right,
                          long above, long left, float *z)
{
    for (long r = 0; r < rows; r++)
        for (long c = 0; c < columns; c++)
            for (long m = 0; m < maps; m++) {
                float sum = b[m];
                for (long i = 0; i < high; i++)
                    for (long j = 0; j < wide; j++) {
                        long y = r * down + i - above, x = c * right + j - left;
                        if (y < 0 || y >= height || x < 0 || x >= width)
                            continue;
                        for (long k = 0; k < channels; k++)
                            sum += W[((m * high + i) * wide + j) * channels + k] * a[(y * width + x) * channels + k];
                    }
                z[(r * columns + c) * maps + m] = sum;
            }
}
"""

_POOL = """\
static inline void @_NAME(const float *a, long width, long channels, long rows, long columns,
                             long high, long wide, long down, long right, float *z)
{
    for (long r = 0; r < rows; r++)
        for (long c = 0; c < columns; c++)
            for (long k = 0; k < channels; k++) {
                const float *corner = a + (r * down * width + c * right) * channels + k;
                float found = FIRST;
                for (long i = 0; i < high; i++)
                    for (long j = 0; j < wide; j++)
                        found = NEXT;
                z[(r * columns + c) * channels + k] = LAST;
            }
}
"""


def _pool(name: str, first: str, following: str, last: str) -> str:
    """A pool that begins with `first` and goes on from place to place of the window with `following`."""
    seen = "corner[(i * width + j) * channels]"
    source = _POOL.replace("NAME", name).replace("FIRST", first).replace("NEXT", following.replace("SEEN", seen))
    return source.replace("LAST", last)


MAXPOOL = _pool("maxpool", "*corner", "fmaxf(found, SEEN)", "found")
MEANPOOL = _pool("meanpool", "0.0f", "found + SEEN", "found / (float)(high * wide)")


def elementwise(name: str, expression: str, parameter: str = "") -> str:
    """An activation, from what it makes of one z, perhaps with a parameter of that name."""
    given = f", float {parameter}" if parameter else ""
    return f"""\
static inline void @_{name}(float *z, long n{given})
{{
    for (long i = 0; i < n; i++)
        z[i] = {expression.replace("z", "z[i]")};
}}
"""


SOFTMAX = """\
static inline void @_softmax(float *z, long n)
{
    float largest = z[0], sum = 0.0f;
    for (long i = 1; i < n; i++)
        largest = fmaxf(largest, z[i]);
    for (long i = 0; i < n; i++)
        sum += z[i] = expf(z[i] - largest);
    for (long i = 0; i < n; i++)
        z[i] /= sum;
}
"""

#: 8-bit pixels, as numbers from 0 to 1.
PIXELS = """\
static inline void @_prepare(const @_input *x, float *a)
{
    for (long i = 0; i < @_INPUTS; i++)
        a[i] = (float)x[i] * (1.0f / 255.0f);
}
"""

#: Columns of a table, or pixels that are scaled alike: WIDTHS are how many values a category has, and 0 for numbers.
COLUMNS = """\
static inline void @_prepare(const @_input *x, float *a)
{
    static const long widths[] = {WIDTHS};
    static const double offsets[] = {OFFSETS}, factors[] = {FACTORS};
    for (long i = 0; i < @_INPUTS; i++) {
        long column = i INDEX;
        if (widths[column] == 0)
            *a++ = (float)(((double)x[i] - offsets[column]) / factors[column]);
        for (long k = 0; k < widths[column]; k++)
            *a++ = (long)x[i] == k ? 1.0f : 0.0f;
    }
}
"""

#: The class: the largest output's number; of a single output, whether it is above ½.
PREDICT = """\
static inline long @_predict(const @_input *x)
{
    static float outputs[@_OUTPUTS];
    long label = 0;
    @_forward(x, outputs);
    for (long j = 1; j < @_OUTPUTS; j++)
        if (outputs[j] > outputs[label])
            label = j;
    return @_OUTPUTS == 1 ? outputs[0] > 0.5f : label;
}
"""

#: Runs a model in model.h on examples from standard input, for as long as there are any; LABEL is a class, or 0.
PROGRAM = """\
#include <stdio.h>
#include "model.h"

int main(void)
{
    static @_input x[@_INPUTS];
    static float answer[@_OUTPUTS + 1];
    while (fread(x, sizeof x, 1, stdin) == 1) {
        @_forward(x, answer);
        answer[@_OUTPUTS] = (float)LABEL;
        if (fwrite(answer, sizeof answer, 1, stdout) != 1)
            return 1;
    }
    return 0;
}
"""
