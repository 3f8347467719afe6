"""A page to try a model on: photos in, answers with bars and heat maps out, and nothing kept."""

from activitynet.errors import DemoError

try:
    import python_multipart  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise DemoError(f"the page needs {error.name}: pip install 'activitynet[demo]'.") from error

from activitynet.demo.answering import Answer, Asked, Opinion, Upload
from activitynet.demo.app import make_app
from activitynet.demo.limits import Limits
from activitynet.demo.server import serve

__all__ = ["Answer", "Asked", "Limits", "Opinion", "Upload", "make_app", "serve"]
