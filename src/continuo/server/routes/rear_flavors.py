"""`GET /api/v2/flavors...`: what is for sale, under the paths of the FLUIDOS node and of REAR's OpenAPI."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.seller.seller import Seller
from continuo.server.rear_answers import answer

_TYPES = ("k8slice", "k8slices", "sensor", "sensors", "service", "services", "vm", "vms")


def flavors_router(seller: Seller) -> APIRouter:
    """The routes of the list."""
    router = APIRouter(prefix="/api/v2/flavors", tags=["flavors"])

    @router.get("", responses={204: {"description": "There are none."}})
    async def every_flavor() -> Response:
        """All available flavors of all types."""
        found = seller.shelf.everything()
        return Response(status_code=204) if found is None else answer(found)

    def listing(spelled: str) -> None:
        @router.get(f"/{spelled}", name=f"flavors_{spelled}")
        async def some_flavors(request: Request) -> Response:
            """Available flavors of one type; `filter[latency][lt]=16` and the like choose among them."""
            return answer(seller.shelf.of_type(spelled, request.query_params.multi_items()))

    for each in _TYPES:
        listing(each)

    @router.get("/{name}")
    async def one_flavor(name: str) -> Response:
        """One flavor, by its ID."""
        found = seller.shelf.one(name)
        if found is None:
            raise Refusal(404, "flavor-unknown", f"there is no flavor {name:.120} for sale here")
        return answer(found)

    return router
