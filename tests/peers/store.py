"""Sends DICOM files with pynetdicom, and compares what was stored with what was sent.

    python store.py send PLAN [FOLDER ...]    all folders at once, each over an association of its own
    python store.py crowd PLAN COUNT          so many associations, one after the other, all held; then once more
    python store.py odd PLAN                  messages that are in order but not what was agreed on
    python store.py stored SENT STORED        which files of SENT lie in STORED, each as it was sent; nothing else may

A PLAN is JSON: {"port": 11112, "called": "CTEDGE", "calling": "SCANNER1", "tls": {"ca": ..., "certificate": ..., "key": ...},
"patience_s": 60}; all but the port have a default.
Each prints JSON; `send` a line for each file as soon as it is answered, and at the end what it was told at the door.
"""

import json
import pathlib
import ssl
import sys
import threading
from io import BytesIO

import pydicom
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, _config, build_context, evt
from pynetdicom.dimse_primitives import C_FIND, C_STORE
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.sop_class import CTImageStorage, MRImageStorage, Verification

# A file goes out byte by byte as it lies.
_config.STORE_SEND_CHUNKED_DATASET = True


def said(**what):
    # In one piece: several threads tell.
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def secured(plan):
    if not plan.get("tls"):
        return None
    context = ssl.create_default_context(cafile=plan["tls"]["ca"])
    if plan["tls"].get("certificate"):
        context.load_cert_chain(plan["tls"]["certificate"], plan["tls"]["key"])
    return context, "localhost"


def associate(plan, contexts):
    ae = AE(ae_title=plan.get("calling", "SCANNER1"))
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = plan.get("patience_s", 60)
    rejections = []

    def heard(event):
        # As it came: pynetdicom itself now and then takes a rejection for an abort when the connection ends at once.
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            rejections.append([event.pdu.result, event.pdu.source, event.pdu.reason_diagnostic])

    association = ae.associate(
        "127.0.0.1",
        plan["port"],
        contexts=contexts,
        ae_title=plan.get("called", "CTEDGE"),
        tls_args=secured(plan),
        evt_handlers=[(evt.EVT_PDU_RECV, heard)],
    )
    association.rejections = rejections
    return association


def door(association):
    """What it was told: nothing if it was let in, else result, source and reason; `lost` if it was told nothing."""
    if association.is_established:
        return None
    return association.rejections[0] if association.rejections else "lost"


def send(plan, folder):
    files = sorted(path for path in pathlib.Path(folder).iterdir() if path.suffix == ".dcm") if folder else []
    metas = map(pydicom.filereader.read_file_meta_info, files)
    kinds = sorted({(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) for meta in metas})
    contexts = [build_context(Verification)] + [build_context(*kind) for kind in kinds]
    association = associate(plan, contexts)
    told = door(association)
    if told is None:
        said(echo=association.send_c_echo().Status)
        for path in files:
            if not association.is_established:
                break
            try:
                status = association.send_c_store(path).get("Status")
            except (RuntimeError, ValueError) as error:
                said(file=str(path), error=str(error)[:60])
                continue
            said(file=str(path), status=status)
        if association.is_established:
            association.release()
    said(door=told)


def crowd(plan, count):
    held = [associate(plan, [build_context(Verification)]) for _ in range(count)]
    told = [door(association) for association in held]
    for association in held:
        if association.is_established:
            association.release()
    again = associate(plan, [build_context(Verification)])
    said(doors=told, again=door(again))
    again.release()


def odd(plan):
    contexts = [build_context(CTImageStorage, ImplicitVRLittleEndian)]
    association = associate(plan, contexts)
    told = {}
    # The answers are ours to read.
    association._reactor_checkpoint.clear()

    def asked(name, primitive):
        association.dimse.send_msg(primitive, association.accepted_contexts[0].context_id)
        _, answer = association.dimse.get_msg(block=True)
        told[name] = answer.Status

    def store(sop_class, uid):
        message = C_STORE()
        message.MessageID, message.Priority = 1, 2
        message.AffectedSOPClassUID, message.AffectedSOPInstanceUID = sop_class, uid
        message.DataSet = BytesIO(b"\x08\x00\x60\x00\x02\x00\x00\x00CT")
        return message

    asked("class", store(MRImageStorage, "1.2.3"))
    find = C_FIND()
    find.MessageID, find.Priority, find.AffectedSOPClassUID = 2, 2, "1.2.840.10008.5.1.4.1.2.2.1"
    find.Identifier = BytesIO(b"\x08\x00\x60\x00\x02\x00\x00\x00CT")
    asked("find", find)
    asked("good", store(CTImageStorage, "1.2.3"))
    association.release()
    said(**told)


def parts(path):
    """Data set as it lies, and what stands before it."""
    meta = pydicom.filereader.read_file_meta_info(path)
    length = 128 + 4 + 12 + meta.FileMetaInformationGroupLength
    return path.read_bytes()[length:], meta


def key(meta):
    return meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID


def values(data):
    """Values by tag. Lengths of groups are counted anew by who writes them."""
    flat = {}
    for element in data:
        if element.tag.element:
            flat[element.tag] = [values(item) for item in element.value] if element.VR == "SQ" else element.value
    return flat


def stored(sent, kept):
    originals = {}
    for path in sorted(pathlib.Path(sent).glob("*.dcm")):
        originals[key(parts(path)[1])] = path
    found = []
    for path in sorted(pathlib.Path(kept).iterdir()):
        data, meta = parts(path)
        original = originals[key(meta)]
        wanted, before = parts(original)
        assert meta.MediaStorageSOPClassUID == before.MediaStorageSOPClassUID, path
        # DCMTK writes lengths anew; the content is the same then, if not the bytes.
        if data != wanted:
            assert values(pydicom.dcmread(path)) == values(pydicom.dcmread(original)), f"{original} came as another"
        found.append({"file": str(original), "bytes": data == wanted})
    print(json.dumps(found))


def main():
    command, *rest = sys.argv[1:]
    if command == "stored":
        return stored(*rest)
    plan = json.loads(rest[0])
    if command == "crowd":
        return crowd(plan, int(rest[1]))
    if command == "odd":
        return odd(plan)
    threads = [threading.Thread(target=send, args=(plan, folder)) for folder in rest[1:] or [None]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
