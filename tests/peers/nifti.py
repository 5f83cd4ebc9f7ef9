"""Writes a NIfTI image anew in another form, with nibabel.

    python nifti.py SOURCE FOLDER

Writes one file for each version, byte order and kind of number, with and without scaling, and one that lies obliquely.
"""

import pathlib
import sys

import nibabel
import numpy as np

KINDS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


def main():
    source, folder = nibabel.load(sys.argv[1]), pathlib.Path(sys.argv[2])
    values = np.asarray(source.dataobj)[::4, ::4, ::4].astype(float)
    affine = source.affine @ np.diag([4, 4, 4, 1])
    for version, image in (("first", nibabel.Nifti1Image), ("second", nibabel.Nifti2Image)):
        for order in "<>":
            for kind in KINDS:
                span = {"u1": (0, 255), "i1": (-128, 127)}.get(kind, (-1000 if kind[0] != "u" else 0, 2000))
                header = image.header_class(endianness=order)
                header.set_data_dtype(np.dtype(order + kind))
                made = image(np.clip(values, *span).astype(order + kind), affine, header)
                name = f"{version}-{'little' if order == '<' else 'big'}-{kind}.nii"
                nibabel.save(made, folder / (name + ".gz" if kind == "i2" else name))
        scaled = image(np.clip(values, -1024, 3071), affine)
        scaled.set_data_dtype(np.int16)
        scaled.header.set_slope_inter(0.5, -1024.25)
        nibabel.save(scaled, folder / f"{version}-scaled.nii")
        turned = nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.2, -0.1, 0.3)) @ affine
        oblique = image(values.astype(np.int16), turned)
        oblique.set_sform(None, code=0)
        oblique.set_qform(turned, code=1)
        nibabel.save(oblique, folder / f"{version}-oblique.nii")


if __name__ == "__main__":
    main()
