"""From files to batches: `samples` finds them, `cache` decodes them once, `batches` serves them."""

from rushlight.data.batches import ImageBatches as ImageBatches
from rushlight.data.cache import CachedImages as CachedImages
from rushlight.data.cache import cached_images as cached_images
from rushlight.data.catalog import DATASETS as DATASETS
from rushlight.data.decode import UnreadableImage as UnreadableImage
from rushlight.data.decode import decode_image as decode_image
from rushlight.data.images import ImageData as ImageData
from rushlight.data.options import ImageOptions as ImageOptions
from rushlight.data.samples import ImageSample as ImageSample
from rushlight.data.samples import Scan as Scan
from rushlight.data.samples import scan_folder as scan_folder
from rushlight.data.tables import scan_csv as scan_csv
