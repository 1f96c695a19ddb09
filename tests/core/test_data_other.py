"""Layouts of other tools as they write them: tables, CreateML, LabelMe, CVAT's XML; against boxes written by hand."""

import json
from pathlib import Path

import pytest
from PIL import Image

from lapnet_core.cli import main
from lapnet_core.data import DataError
from lapnet_core.data.named import open_dataset
from lapnet_core.data.own import find
from lapnet_core.data.splits import make_split

SIZE = (60, 40)


def photo(*paths: Path, size=SIZE, **options) -> None:
    for n, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (n * 20 % 255, len(str(path)) % 255, 9)).save(path, **options)


def write(path: Path, content, encoding="utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode(encoding))


def read(root, split="train", **options) -> dict[str, list]:
    """The class and box of each object, by its image's path."""
    data = open_dataset(str(root), split, **options)
    found = {}
    for n in range(len(data)):
        image, target = data[n]
        assert image.shape[1:] == target["original_size"]
        rows = zip(target["labels"].tolist(), target["boxes"].tolist(), strict=True)
        found[str(target["image_id"])] = [(data.class_names[c], tuple(round(x, 3) for x in box)) for c, box in rows]
    return found


def everything(root, **options) -> dict[str, list]:
    """All splits of data of which we made them."""
    found = {}
    for split in [name for name in find(Path(root)).splits if name != "trainval"]:
        found |= read(root, split, **options)
    return found


def source(root, split="train") -> str:
    return open_dataset(str(root), split).source


CAT, DOG = ("cat", (5.0, 6.0, 25.0, 26.0)), ("dog", (10.0, 4.0, 50.0, 30.0))
TF = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


# --- tables -----------------------------------------------------------------------------------------------------------


def roboflow_csv(root):
    for n, folder in enumerate(("train", "valid", "test")):
        photo(root / folder / f"{n}_jpg.rf.abc.jpg", root / folder / "more.jpg")
        rows = f"{n}_jpg.rf.abc.jpg,60,40,cat,5,6,25,26\n{n}_jpg.rf.abc.jpg,60,40,dog,10,4,50,30\n"
        write(root / folder / "_annotations.csv", f"{TF}{rows}more.jpg,60,40,dog,10,4,50,30\n")


def test_tables_of_roboflow(tmp_path):
    roboflow_csv(tmp_path)
    for n, (split, folder) in enumerate((("train", "train"), ("val", "valid"), ("test", "test"))):
        assert read(tmp_path, split) == {f"{folder}/{n}_jpg.rf.abc.jpg": [CAT, DOG], f"{folder}/more.jpg": [DOG]}
    assert source(tmp_path).endswith(
        ": CSV, 2 classes, train 2 / val 2 / trainval 4 / test 2 images; "
        "boxes from xmin, ymin, xmax, ymax (pixels), classes from class"
    )
    assert len(open_dataset(str(tmp_path), "trainval")) == 4


def test_a_table_for_each_split_beside_the_images(tmp_path):
    """As the raccoons have it: also with a table of all."""
    for split, name in (("train", "a"), ("train", "b"), ("test", "c")):
        photo(tmp_path / "images" / split / f"{name}.jpg")
    train, test = "a.jpg,60,40,cat,5,6,25,26\nb.jpg,60,40,dog,10,4,50,30\n", "c.jpg,60,40,cat,5,6,25,26\n"
    write(tmp_path / "data" / "train_labels.csv", TF + train)
    write(tmp_path / "data" / "test_labels.csv", TF + test)
    assert read(tmp_path, "trainval") == {"images/train/a.jpg": [CAT], "images/train/b.jpg": [DOG]}
    assert read(tmp_path, "test") == {"images/test/c.jpg": [CAT]}
    assert "val held out of train by us" in source(tmp_path)
    write(tmp_path / "data" / "raccoon_labels.csv", TF + train + test)  # the tutorial's table of all is there, too
    assert read(tmp_path, "trainval") == {"images/train/a.jpg": [CAT], "images/train/b.jpg": [DOG]}
    assert "3 images in raccoon_labels.csv that are in no split are left out" in source(tmp_path)


def test_folders_of_the_images_tell_the_split_where_the_table_does_not(tmp_path):
    photo(*(tmp_path / "images" / f"{split}" / "a.jpg" for split in ("train", "valid", "test")))
    rows = "".join(f"{split}/a.jpg,60,40,cat,5,6,25,26\n" for split in ("train", "valid", "test"))
    write(tmp_path / "labels.csv", TF + rows)
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        assert read(tmp_path, split) == {f"images/{folder}/a.jpg": [CAT]}
    write(tmp_path / "labels.csv", TF + rows + "b.jpg,60,40,cat,5,6,25,26\n")  # a missing one is a fault all the same
    with pytest.raises(DataError, match=r"'b\.jpg' is missing"):
        open_dataset(str(tmp_path), "train")


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        (
            "image_id,xmin,ymin,xmax,ymax,label",
            "{}.jpg,5,6,25,26,cat",
            "boxes from xmin, ymin, xmax, ymax (pixels), classes from label",
        ),
        (
            "ImageID,LabelName,X1,Y1,X2,Y2",
            "{},cat,5,6,25,26",
            "boxes from X1, Y1, X2, Y2 (pixels), classes from LabelName",
        ),
        (
            "image,x,y,w,h,class_name",
            "{}.jpg,5,6,20,20,cat",
            "boxes from x, y, w, h (upper left corner, width, height; pixels)",
        ),
        ("filename,x,y,w,h,width,height,label", "{}.jpg,5,6,20,20,60,40,cat", "boxes from x, y, w, h (upper left"),
        ("image_path,x_min,y_min,x_max,y_max,class", "C:\\d\\{}.jpg,5,6,25.0,26,cat", "boxes from x_min, y_min"),
        ("path,class,class_id,left,top,right,bottom", "/kaggle/input/{}.jpg,cat,0,5,6,25,26", "boxes from left, top"),
        ("Filename,Label,x,y,width,height", "{}.jpg,cat,5,6,20,20", "(upper left corner, width, height; pixels)"),
        (
            "image_id,width,height,bbox,label",
            '{},60,40,"[5.0, 6.0, 20.0, 20.0]",cat',
            "boxes from bbox (upper left",
        ),
        ("image;class;xmin;ymin;xmax;ymax", "{}.jpg;cat;5,0;6;25;26", "(pixels), classes from class"),
        ("image\tclass\txmin\tymin\txmax\tymax", "{}.jpg\tcat\t5\t6\t25\t26", "(pixels), classes from class"),
        ("image, class, xmin, ymin, xmax, ymax", '"{}.jpg", cat, 5, 6, 25, 26', "(pixels), classes from class"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_columns_by_many_names(tmp_path, header, row, said, encoding):
    photo(*(tmp_path / "images" / f"{name}.jpg" for name in "abcd"))
    write(tmp_path / "labels.csv", "\r\n".join([header, *(row.format(name) for name in "abcd"), ""]), encoding)
    assert everything(tmp_path) == {f"images/{name}.jpg": [CAT] for name in "abcd"}
    assert said in source(tmp_path)
    assert "split made by us" in source(tmp_path)


def test_kaggles_wheat(tmp_path):
    photo(tmp_path / "train" / "b6ab77fd7.jpg", tmp_path / "train" / "empty.jpg", tmp_path / "test" / "x.jpg")
    write(
        tmp_path / "train.csv", 'image_id,width,height,bbox,source\nb6ab77fd7,60,40,"[5.0, 6.0, 20.0, 20.0]",usask_1\n'
    )
    write(tmp_path / "sample_submission.csv", "image_id,PredictionString\nx,1.0 0 0 50 50\n")
    assert read(tmp_path, "train") == {"train/b6ab77fd7.jpg": [("object", CAT[1])]}
    assert (
        'all of one class, "object", as no column is called class or label (image_id, width, height, bbox, source)'
        in source(tmp_path)
    )
    assert (
        "left out, as the table sample_submission.csv lacks four columns such as xmin, ymin, xmax, ymax (it has image"
        in source(tmp_path)
    )
    assert "2 images that no annotation names are left out, such as " in source(tmp_path)


def test_tables_of_keras_retinanet_have_no_header(tmp_path):
    photo(*(tmp_path / f"{name}.jpg" for name in "abcd"))
    write(
        tmp_path / "annotations.csv",
        "/data/imgs/a.jpg,5,6,25,26,cat\n/data/imgs/a.jpg,10,4,50,30,dog\nb.jpg,,,,,\nc.jpg,5,6,25,26,cat\nd.jpg,,,,,\n",
    )
    write(tmp_path / "classes.csv", "cat,0\ndog,1\n")
    assert everything(tmp_path, class_names=("cat", "dog")) == {
        "a.jpg": [CAT, DOG], "b.jpg": [], "c.jpg": [CAT], "d.jpg": []
    }  # fmt: skip
    assert "a table that names no columns, taken as path, x1, y1, x2, y2, class" in find(tmp_path).line()


def test_open_images_are_in_shares(tmp_path):
    photo(tmp_path / "train" / "0001.jpg", size=(100, 50))
    photo(tmp_path / "validation" / "0002.jpg")
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf\n"
    write(
        tmp_path / "train-annotations-bbox.csv",
        header + "0001,xclick,/m/01g317,1,0.1,0.5,0.2,1,0,0\n0001,xclick,/m/01g3,1,0,0.5,0.2,0.4,0,1\n",
    )
    write(tmp_path / "validation-annotations-bbox.csv", header + "0002,xclick,/m/01g317,1,0,1,0,1,0,0\n")
    assert read(tmp_path) == {"train/0001.jpg": [("/m/01g317", (10, 10, 50, 50)), ("/m/01g3", (0, 10, 50, 20))]}
    assert read(tmp_path, "val", class_names=("/m/01g317",)) == {"validation/0002.jpg": [("/m/01g317", (0, 0, 60, 40))]}
    assert "boxes from XMin, YMin, XMax, YMax (shares of the image), classes from LabelName" in source(tmp_path)
    assert open_dataset(str(tmp_path), "train").target(0)["difficult"].tolist() == [False, True]


@pytest.mark.parametrize("head", ["", "LabelName,DisplayName\n"])
def test_classes_of_openimages_get_their_names(tmp_path, head):
    photo(tmp_path / "a.jpg")
    rows = "".join(f"a,{code},0.1,0.5,0.2,0.6\n" for code in ("/m/01yrx", "/m/0bt9lr", "/m/1", "/m/2", "/m/3"))
    write(tmp_path / "train.csv", f"ImageID,LabelName,XMin,XMax,YMin,YMax\n{rows}")
    names = '/m/01yrx,Cat\n/m/0bt9lr,"Dog, of any kind"\n/m/1,Apple\n/m/2,Apple\n'
    write(tmp_path / "metadata" / "oidv7-class-descriptions-boxable.csv", head + names)
    for path in (tmp_path, tmp_path / "train.csv"):
        data = open_dataset(str(path), "trainval")
        assert data.class_names == ("/m/1", "/m/2", "/m/3", "Cat", "Dog, of any kind")
    assert "left out" not in data.source


def test_shares_among_pixels_are_faults(tmp_path):
    photo(tmp_path / "a.jpg", tmp_path / "b.jpg")
    write(tmp_path / "train.csv", "image,class,xmin,ymin,xmax,ymax\na.jpg,cat,5,6,25,26\na.jpg,cat,.1,.1,.9,.9\n")
    with pytest.raises(DataError, match=r"train\.csv: row 3 \(cat\): box .* must cover more than 1 px²"):
        open_dataset(str(tmp_path), "train")


def test_a_column_of_splits(tmp_path):
    photo(*(tmp_path / f"{name}.jpg" for name in "abc"))
    write(
        tmp_path / "all.csv",
        "split,image,class,x1,y1,x2,y2\ntrain,a.jpg,cat,5,6,25,26\nVal,b.jpg,cat,5,6,25,26\ntest,c.jpg,cat,5,6,25,26\n",
    )
    for split, name in (("train", "a"), ("val", "b"), ("test", "c")):
        assert read(tmp_path, split) == {f"{name}.jpg": [CAT]}


ROW = "a.jpg,60,40,cat,5,6,25,26\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"the table train\.csv is empty"),
        ("\n \n", r"the table train\.csv is empty"),
        (
            "name,age\nAnna,7\n",
            r"train\.csv lacks a column such as filename \(it has name, age\)\. Wanted are .* rename its columns",
        ),
        (
            "image,label\na.jpg,cat\n",
            r"train\.csv lacks four columns such as xmin, ymin, xmax, ymax \(it has image, label\)",
        ),
        ('image,bbox,label\na.jpg,"[1,2,3,4]",cat\n', "does not say whether a bbox is x, y, width, height or two"),
        ("image,x1,y1,x1,y2,label\na.jpg,1,2,3,4,cat\n", "lacks four columns such as"),
        ("a.jpg,cat,1,2,3,4\n", r"names no columns, and is not of the form path, x1"),
        (TF + "a.jpg,60,40,cat,5,6,25,nan\n", r"train\.csv: row 2: must have 4 numbers, not \['5', '6', '25', 'nan'\]"),
        (TF + "a.jpg,60,40,cat,5,6,1e12,9\n", r"row 2: must have 4 numbers"),
        (TF + "a.jpg,60,40,cat,5,6,,9\n", r"row 2: must have 4 numbers"),
        (TF + "a.jpg,60,40,cat,25,26,5,6\n", r"row 2 \(cat\): box \(25, 26, 5, 6\) .* must cover more than 1 px²"),
        (TF + "a.jpg,60,40,cat,70,6,90,26\n", r"row 2 \(cat\): box .* must cover more than 1 px² inside it"),
        (TF + "a.jpg,60,40,,5,6,25,26\n", r"row 2: its class must be a name, not ''"),
        (TF + "a.jpg,60,40,cat,5,6,25\n", r"row 2: has 7 fields, and not 8 as the first line"),
        (TF + ",60,40,cat,5,6,25,26\n", r"train\.csv: row 2: must name its image, not ''"),
        (TF + "b.jpg,60,40,cat,5,6,25,26\n", r"train\.csv: its image 'b\.jpg' is missing in "),
        (
            TF + "../../a.jpg,60,40,cat,5,6,25,26\n/x/a.jpg,60,40,cat,5,6,25,26\n",
            r"a\.jpg is that of .*train\.csv, too",
        ),
        (TF + "a.jpg,60,x,cat,5,6,25,26\n", r"the size of its image must be a height and width .* \('x', '60'\)"),
        (TF + ROW + "a.jpg,61,40,cat,5,6,25,26\n", r"row 3 gives 'a\.jpg' another size than its first row"),
        (TF + "a.jpg,61,40,cat,5,6,25,26\n", r"a\.jpg: the image is 60 x 40 .* its annotation says 61 x 40"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, said):
    photo(tmp_path / "a.jpg")
    write(tmp_path / "train.csv", text)
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, "trainval")
    assert "\n" not in str(caught.value)


def test_a_row_may_leave_out_the_size(tmp_path):
    photo(tmp_path / "a.jpg", tmp_path / "b.jpg")
    write(tmp_path / "train.csv", TF + "a.jpg,,,cat,5,6,25,26\na.jpg,60,40,dog,10,4,50,30\n")
    write(tmp_path / "val.csv", TF + "b.jpg,,,cat,5,6,25,26\n")
    assert read(tmp_path) == {"a.jpg": [CAT, DOG]}
    assert open_dataset(str(tmp_path), "val").report.counts == {"unsized": 1}


def test_faults_are_counted(tmp_path):
    photo(*(tmp_path / f"{name}.jpg" for name in "abc"))
    rows = "a.jpg,60,40,cat,5,6,25,x\nb.jpg,60,40,dog,-3,4,50,30\nz.jpg,60,40,cat,1,1,9,9\nz.jpg,60,40,cat,1,1,9,8\n"
    write(tmp_path / "train.csv", TF + ROW + rows)
    write(tmp_path / "val.csv", TF + "c.jpg,60,40,cat,1,1,9,9\n")
    data = open_dataset(str(tmp_path), "train", on_error="skip")
    assert len(data) == 2
    assert data.report.counts == {"object": 1, "clipped": 1, "image": 1, "lost": 2}
    assert "row 5: " not in data.report.summary()
    assert "train.csv: its image 'z.jpg' is missing in" in data.report.summary()


def test_an_image_that_is_turned_needs_a_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(tmp_path / "a.jpg", exif=exif)
    photo(tmp_path / "b.jpg")
    write(tmp_path / "train.csv", "image,class,x1,y1,x2,y2\na.jpg,cat,5,6,25,26\nb.jpg,cat,5,6,25,26\n")
    with pytest.raises(DataError, match=r"a\.jpg is turned by its EXIF, and the file gives no size"):
        open_dataset(str(tmp_path), "trainval")
    write(tmp_path / "train.csv", TF + "a.jpg,40,60,cat,5,6,25,26\nb.jpg,60,40,cat,5,6,25,26\n")
    assert read(tmp_path, "trainval") == {"a.jpg": [CAT], "b.jpg": [CAT]}  # annotated upright: 40 x 60


# --- which image is meant ---------------------------------------------------------------------------------------------


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path):
    photo(*(tmp_path / "img" / folder / "0.jpg" for folder in ("one", "two", "three")))
    rows = "x\\two\\0.jpg,60,40,cat,5,6,25,26\nimg/one/0.jpg,60,40,dog,10,4,50,30\n"
    write(tmp_path / "train.csv", TF + rows)
    assert read(tmp_path, "trainval") == {"img/two/0.jpg": [CAT], "img/one/0.jpg": [DOG]}
    write(tmp_path / "train.csv", TF + "0.jpg,60,40,cat,5,6,25,26\n")
    with pytest.raises(DataError, match=r"its image '0\.jpg' may be .*img/one/0\.jpg or .*: name its folder, too"):
        open_dataset(str(tmp_path), "trainval")


def test_an_image_of_another_folder_is_not_taken_for_one_that_is_missing(tmp_path):
    photo(tmp_path / "one" / "0.jpg", tmp_path / "one" / "1.jpg", tmp_path / "two" / "0.jpg")
    write(tmp_path / "train.csv", TF + "two/0.jpg,60,40,cat,5,6,25,26\ntwo/1.jpg,60,40,cat,5,6,25,26\n")
    with pytest.raises(DataError, match=r"'two/1\.jpg' is missing in .*; .*one/1\.jpg is in another folder"):
        open_dataset(str(tmp_path), "trainval")


def test_an_image_of_test_is_not_taken_for_one_of_train(tmp_path):
    photo(tmp_path / "train" / "a.jpg", tmp_path / "test" / "b.jpg")
    write(tmp_path / "train_labels.csv", TF + "a.jpg,60,40,cat,5,6,25,26\nb.jpg,60,40,cat,5,6,25,26\n")
    with pytest.raises(DataError, match=r"'b\.jpg' is missing in .*; .*test/b\.jpg is in another folder"):
        open_dataset(str(tmp_path), "trainval")


@pytest.mark.parametrize(
    "name", ["../secret/a.jpg", "/etc/a.jpg", "..\\..\\a.jpg", "C:\\a.jpg", "..", "\0a.jpg", "/", "é.jpg"]
)
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    photo(tmp_path / "secret" / "a.jpg", tmp_path / "data" / "é.jpg")
    write(tmp_path / "data" / "train.json", [{"image": name, "annotations": []}, {"image": "é.jpg", "annotations": []}])
    with pytest.raises(DataError, match=r"is missing|must name its image|is that of|no usable object"):
        open_dataset(str(tmp_path / "data"), "trainval")
    assert all((tmp_path / "data").samefile(i.path.parent) for i in listed(tmp_path / "data") if i.path)


def listed(root):
    return [image for sources in find(root).layout.parts.values() for place, _ in sources for image in place.values()]


# --- CreateML ---------------------------------------------------------------------------------------------------------


def createml(name, *objects, key="image", inside="annotations"):
    boxes = [
        {"label": label, "coordinates": {"x": (a + c) / 2, "y": (b + d) / 2, "width": c - a, "height": d - b}}
        for label, (a, b, c, d) in objects
    ]
    return {key: name, inside: boxes}


def test_createml_of_roboflow(tmp_path):
    for folder in ("train", "valid", "test"):
        photo(tmp_path / folder / "a.jpg", tmp_path / folder / "b.jpg")
        write(tmp_path / folder / "_annotations.createml.json", [createml("a.jpg", CAT, DOG), createml("b.jpg", CAT)])
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        assert read(tmp_path, split) == {f"{folder}/a.jpg": [CAT, DOG], f"{folder}/b.jpg": [CAT]}
    assert ": CreateML, 2 classes, train 2 / val 2 / trainval 4 / test 2 images" in source(tmp_path)
    write(tmp_path / "train" / "_annotations.createml.json", "")
    with pytest.raises(DataError, match=r"train/_annotations\.createml\.json: cannot read this JSON file"):
        open_dataset(str(tmp_path), "train")


def test_createml_beside_the_images(tmp_path):
    """With an image without objects, and with the keys of Apple's older pages."""
    photo(*(tmp_path / f"{name}.jpg" for name in "abcd"))
    entries = [createml(f"{name}.jpg", CAT, key="imagefilename", inside="annotation") for name in "abc"]
    write(tmp_path / "annotations.json", [*entries, createml("d.jpg")], "utf-8-sig")
    assert everything(tmp_path, class_names=("cat",)) == {"a.jpg": [CAT], "b.jpg": [CAT], "c.jpg": [CAT], "d.jpg": []}
    assert "split made by us" in find(tmp_path).line()
    assert find(tmp_path / "annotations.json").layout.kind == "CreateML"
    write(tmp_path / "annotations.json", [*entries, createml("d.jpg")], "utf-16")
    assert find(tmp_path).layout.kind == "CreateML"


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([createml("a\nb.jpg", CAT)], r"image 1: its image 'a\\nb\.jpg' is missing"),
        (
            [createml("a.jpg", CAT), createml("a.jpg", DOG)],
            r"image a\.jpg: its image .* is that of .*: image a\.jpg, too",
        ),
        ([{"image": "a.jpg", "annotations": {}}], r"image a\.jpg: its annotations must be a list"),
        ([createml("a.jpg"), 7], r"image 2: .*must be a list"),
        ([createml(["a.jpg"], CAT)], r"must name its image, not \['a\.jpg'\]"),
        ([{"image": "a.jpg", "annotations": ["x"]}], r"annotation 1: must have coordinates"),
        ([{"image": "a.jpg", "annotations": [{"label": "cat"}]}], r"annotation 1: must have coordinates"),
        ([createml("a.jpg", (None, CAT[1]))], r"annotation 1: its class must be a name, not None"),
        ([createml("a.jpg", ("a\nb", CAT[1]))], r"annotation 1: its class must be a name"),
        ([createml("a.jpg", ("cat", (0.1, 0.2, 0.5, 0.6)))], r"annotation 1 \(cat\): box .* more than 1 px²"),
        (
            [createml("a.jpg", ("cat", (0, 0, float("nan"), 5)))],
            r"annotation 1: must have coordinates that are numbers",
        ),
        (
            [
                {
                    "image": "a.jpg",
                    "annotations": [{"label": "cat", "coordinates": {"x": True, "y": 5, "width": 5, "height": 9}}],
                }
            ],
            r"annotation 1: must have coordinates that are numbers",
        ),
    ],
)
def test_what_is_wrong_with_createml_is_said(tmp_path, entries, said):
    photo(tmp_path / "a.jpg")
    write(tmp_path / "train.json", entries)
    with pytest.raises(DataError, match=rf"train\.json: .*{said}"):
        open_dataset(str(tmp_path), "trainval")


# --- LabelMe ----------------------------------------------------------------------------------------------------------


def shape(label, kind, *points):
    return {
        "label": label,
        "points": [list(point) for point in points],
        "group_id": None,
        "shape_type": kind,
        "flags": {},
    }


def labelme(path, name, *shapes, **more):
    content = {
        "version": "5.2.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": name,
        "imageData": "aGFsbG8=" * 999,
    }
    write(path, content | {"imageHeight": SIZE[1], "imageWidth": SIZE[0]} | more)


def test_shapes_of_labelme(tmp_path):
    photo(*(tmp_path / f"{name}.jpg" for name in "abc"))
    labelme(
        tmp_path / "a.json",
        "a.jpg",
        shape("cat", "rectangle", (25, 6), (5, 26)),  # corners in any order
        shape("dog", "polygon", (10, 4), (50, 15), (20, 30)),
        shape("ball", "circle", (30, 20), (33, 24)),
        shape("nose", "point", (3, 4)),
        shape("tail", "linestrip", (3, 4), (5, 6), (7, 8)),
    )
    labelme(tmp_path / "b.json", "b.jpg")
    labelme(
        tmp_path / "c.json", "c.jpg", shape("cat", "rectangle", (5, 6), (25, 26)), imageHeight=None, imageWidth=None
    )
    names = ("ball", "cat", "dog")
    found = everything(tmp_path, class_names=names)
    assert found == {"a.jpg": [CAT, DOG, ("ball", (25, 15, 35, 25))], "b.jpg": [], "c.jpg": [CAT]}
    split = {name: split for split, names in make_split(["a.jpg", "b.jpg", "c.jpg"]).items() for name in names}
    report = open_dataset(str(tmp_path), split["a.jpg"], class_names=names).report
    assert report.counts == {"outline": 2, "line": 2}
    assert "2 outlines and rotated boxes, taken as the boxes around them: " in report.summary()
    assert "2 points, lines and cuboids, which have no box and are left out: " in report.summary()
    assert "a.json: shape 4 (nose)" in report.summary()
    assert open_dataset(str(tmp_path), split["c.jpg"], class_names=names).report.counts == {"unsized": 1}


def test_labelme_of_windows_in_folders_of_splits(tmp_path):
    for split in ("train", "val", "test"):
        for name in "ab":
            photo(tmp_path / "images" / split / f"{split}_{name}.jpg")
            path = f"..\\..\\images\\{split}\\{split}_{name}.jpg"
            labelme(
                tmp_path / "json" / split / f"{split}_{name}.json", path, shape("cat", "rectangle", (5, 6), (25, 26))
            )
    for split in ("train", "val", "test"):
        assert read(tmp_path, split) == {f"images/{split}/{split}_{name}.jpg": [CAT] for name in "ab"}


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (shape("cat", "rectangle", (5, 6)), r"shape 1: has 2 coordinates: they must be points"),
        (shape("cat", "rectangle", (5, 6, 7), (5, 6, 7)), r"shape 1: must be a shape with a list of points"),
        (shape("cat", "rectangle", (5, "x"), (5, 6)), r"shape 1: must have coordinates that are numbers"),
        (shape("cat", "blob", (5, 6), (7, 8)), r"shape 1: 'blob' of 2 points is no shape that is known"),
        (shape("cat", "circle", (5, 6)), r"shape 1: 'circle' of 1 points is no shape"),
        (shape("cat", "polygon", (5, 6), (5, 9)), r"shape 1 \(cat\): box .* must cover more than 1 px²"),
        ("x", r"shape 1: must be a shape with a list of points"),
    ],
)
def test_what_is_wrong_with_labelme_is_said(tmp_path, one, said):
    photo(tmp_path / "train" / "a.jpg", tmp_path / "train" / "b.jpg")
    labelme(tmp_path / "train" / "a.json", "a.jpg", one)
    labelme(tmp_path / "train" / "b.json", "b.jpg", shape("cat", "rectangle", (5, 6), (25, 26)))
    with pytest.raises(DataError, match=rf"a\.json: {said}"):
        open_dataset(str(tmp_path), "trainval")


def test_files_of_labelme_that_are_none(tmp_path):
    photo(*(tmp_path / "train" / f"{name}.jpg" for name in "abcd"))
    for name in "ab":
        labelme(tmp_path / "train" / f"{name}.json", f"{name}.jpg", shape("cat", "rectangle", (5, 6), (25, 26)))
    labelme(tmp_path / "train" / "e.json", "e.jpg", shape("cat", "rectangle", (5, 6), (25, 26)))
    write(tmp_path / "train" / "c.json", "")
    write(tmp_path / "train" / "d.json", '{"version": "5.0", "shapes": [')
    write(tmp_path / "settings.json", {"theme": "dark"})
    photo(tmp_path / "val" / "a.jpg")
    labelme(tmp_path / "val" / "a.json", "a.jpg", shape("cat", "rectangle", (5, 6), (25, 26)))
    data = open_dataset(str(tmp_path), "train", on_error="skip")
    assert len(data) == 2
    assert data.report.counts == {"image": 3, "lost": 1}
    said = data.report.summary()
    assert "c.json: cannot read this JSON file" in said
    assert "d.json: cannot read this JSON file" in said
    assert "e.json: its image 'e.jpg' is missing in" in said
    assert "the copy inside, imageData, is not read" in said
    assert "1 JSON files that are not LabelMe's are left out" in data.source


# --- CVAT -------------------------------------------------------------------------------------------------------------


def cvat(*images, **subsets):
    rows = "".join(
        f'<image id="{n}" name="{name}"{subsets.get(name, "")} width="60" height="40">{shapes}</image>'
        for n, (name, shapes) in enumerate(images)
    )
    meta = "<meta><task><id>7</id><name>t</name><labels><label><name>cat</name></label></labels></task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>{meta}{rows}</annotations>'


BOX = '<box label="cat" source="manual" occluded="0" xtl="5.00" ytl="6.00" xbr="25.00" ybr="26.00" z_order="0">{}</box>'
SHAPES = (
    BOX.format('<attribute name="age">7</attribute>')
    + '<polygon label="dog" source="manual" occluded="0" points="10.00,4.00;50.00,15.00;20.00,30.00" z_order="0"/>'
    + '<box label="dog" xtl="20" ytl="10" xbr="40" ybr="20" rotation="90.00"/>'
    + '<ellipse label="cat" cx="30" cy="20" rx="8" ry="3" rotation="90"/>'
    + '<mask label="cat" rle="0, 4" left="3" top="4" width="2" height="5"/>'
    + '<polyline label="cat" points="1,2;3,4"/><points label="cat" points="1,2"/><tag label="night"/>'
)


def test_shapes_of_cvat(tmp_path):
    photo(tmp_path / "images" / "a.jpg", tmp_path / "images" / "cam 1" / "b.jpg", tmp_path / "images" / "c.jpg")
    write(tmp_path / "annotations.xml", cvat(("a.jpg", SHAPES), ("cam 1/b.jpg", BOX), ("c.jpg", "")))
    found = everything(tmp_path, class_names=("cat", "dog"))
    assert found.pop("images/a.jpg") == [
        CAT, DOG, ("dog", (25, 5, 35, 25)), ("cat", (27, 12, 33, 28)), ("cat", (3, 4, 5, 9))
    ]  # fmt: skip
    assert found == {"images/cam 1/b.jpg": [CAT], "images/c.jpg": []}
    split = next(name for name, names in make_split(["a.jpg", "b.jpg", "c.jpg"]).items() if "a.jpg" in names)
    counts = open_dataset(str(tmp_path), split, class_names=("cat", "dog")).report.counts
    assert counts == {"outline": 4, "line": 2}
    assert find(tmp_path / "annotations.xml").layout.kind == "CVAT"


def test_a_box_of_cvat_that_is_turned_a_little(tmp_path):
    """A square of 20 by 45 degrees is as wide as its diagonal."""
    photo(tmp_path / "a.jpg")
    write(tmp_path / "train.xml", cvat(("a.jpg", BOX.replace("z_order", 'rotation="45" z_order'))))
    ((_, box),) = read(tmp_path, "trainval")["a.jpg"]
    assert box == pytest.approx((0.858, 1.858, 29.142, 30.142), abs=1e-3)


def test_subsets_of_a_project_of_cvat(tmp_path):
    names = {"a.jpg": "Train", "b.jpg": "Validation", "c.jpg": "Test"}
    photo(*(tmp_path / "images" / subset / name for name, subset in names.items()))
    subsets = {name: f' subset="{subset}" task_id="3"' for name, subset in names.items()}
    write(tmp_path / "annotations.xml", cvat(*((name, BOX) for name in names), **subsets))
    for split, path in (("train", "Train/a.jpg"), ("val", "Validation/b.jpg"), ("test", "Test/c.jpg")):
        assert read(tmp_path, split) == {f"images/{path}": [CAT]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '<annotations><track id="0" label="cat"><box frame="0"/></track></annotations>',
            'export "CVAT for images", or VOC',
        ),
        (
            '<!DOCTYPE a [<!ENTITY x "y">]><annotations><image name="&x;"/></annotations>',
            "entities and external references",
        ),
        ("<annotations><image", "cannot read this annotation"),
        ("<annotations><image/></annotations>", "image 1: must name its image, not ''"),
        (cvat(("b.jpg", BOX)), r"image b\.jpg: its image 'b\.jpg' is missing in "),
        (
            cvat(("a.jpg", BOX), ("x/a.jpg", BOX)),
            r"image x/a\.jpg: its image .*a\.jpg is that of .*: image a\.jpg, too",
        ),
        (
            cvat(("a.jpg", BOX.replace("25.00", "inf"))),
            r"image a\.jpg: shape 1: must have coordinates that are numbers",
        ),
        (cvat(("a.jpg", BOX.replace("xtl", "x"))), r"shape 1: must have coordinates that are numbers"),
        (
            cvat(("a.jpg", BOX.replace("25.00", "2"))),
            r"image a\.jpg: shape 1 \(cat\): box .* must cover more than 1 px²",
        ),
        (cvat(("a.jpg", '<polygon label="cat" points=""/>')), r"shape 1: must have coordinates that are numbers"),
        (cvat(("a.jpg", '<star label="cat"/>')), r"shape 1: <star> is no shape that is known"),
        (
            cvat(("a.jpg", BOX)).replace('width="60"', 'width="1e99"'),
            r"the size of its image must be a height and width",
        ),
    ],
)
def test_what_is_wrong_with_cvat_is_said(tmp_path, text, said):
    photo(tmp_path / "a.jpg")
    write(tmp_path / "annotations.xml", text)
    with pytest.raises(DataError, match=rf"annotations\.xml: .*{said}"):
        open_dataset(str(tmp_path), "train")


# --- what was read before is read as before ---------------------------------------------------------------------------


def yolo(root):
    write(root / "labels" / "a.txt", "0 .5 .5 .2 .2")
    write(root / "data.yaml", "names: [cat]\ntrain: images\nval: images\n")


def coco(root):
    write(root / "result.json", {
        "images": [{"id": 1, "file_name": "images/a.jpg", "width": 60, "height": 40}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 10]}],
    })  # fmt: skip


def voc(root):
    box = "<object><name>cat</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>25</xmax><ymax>26</ymax></bndbox></object>"
    write(root / "Annotations" / "a.xml", f"<annotation><filename>a.jpg</filename>{box}</annotation>")


@pytest.mark.parametrize(("kind", "layout"), [("YOLO", yolo), ("COCO", coco), ("VOC", voc)])
def test_what_was_read_before_wins(tmp_path, kind, layout):
    layout(tmp_path)
    photo(tmp_path / "images" / "a.jpg")
    before = find(tmp_path)
    write(tmp_path / "results.csv", "epoch,loss\n1,2\n")
    write(tmp_path / "labels.csv", TF + "a.jpg,60,40,dog,5,6,25,26\n")
    write(tmp_path / "labels" / "empty.json", "")
    write(tmp_path / "images" / "list.json", [createml("a.jpg", DOG)])
    labelme(tmp_path / "images" / "a.json", "a.jpg", shape("dog", "rectangle", (1, 2), (30, 40)))
    if kind != "VOC":
        write(tmp_path / "annotations.xml", cvat(("a.jpg", SHAPES)))
    assert find(tmp_path) == before
    assert before.layout.kind == kind


def test_json_that_is_something_else_is_no_layout(tmp_path):
    photo(tmp_path / "a.jpg")
    for name, content in (("a", []), ("b", [{"image_id": 3, "bbox": [1, 2, 3, 4]}]), ("c", {"shapes": 7}), ("d", 7)):
        write(tmp_path / f"{name}.json", content)
    write(tmp_path / "e.json", '{"a": ' + "[" * 100_000)
    with pytest.raises(DataError, match=r"no annotations that are known\. It holds 5 \.json, 1 \.jpg; .* or a table"):
        find(tmp_path)


def test_data_check_says_what_was_found(tmp_path, capsys):
    roboflow_csv(tmp_path / "photos")
    assert main(["data", "check", str(tmp_path / "photos")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "photos: CSV, 2 classes, train 2 / val 2 / trainval 4 / test 2 images; boxes from xmin, ymin"
    )
    assert "train: 2 images, 0 of them without objects; 3 objects, 0 difficult" in said
    write(tmp_path / "photos" / "test" / "_annotations.csv", TF + "more.jpg,60,40,dog,10,4,50,x\n")
    assert main(["data", "check", str(tmp_path / "photos")]) == 1
    assert "test/_annotations.csv: row 2: must have 4 numbers, not ['10', '4', '50', 'x']" in capsys.readouterr().out
