"""h5grove as its own FastAPI example serves it.  python -m benchmarks.clients.grove_server PORT"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from h5grove.fastapi_utils import router

if __name__ == "__main__":
    application = FastAPI()
    application.include_router(router)
    uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
