"""Endpoints as they must not be: each ignores what it does not know. And one that is right."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapi.serializers import StrictSerializer, read_body


class Part(StrictSerializer):
    size = serializers.IntegerField(required=False)


class LoosePart(serializers.Serializer[Any]):
    size = serializers.IntegerField(required=False)


class Whole(StrictSerializer):
    name = serializers.CharField(required=False)
    parts = Part(many=True, required=False)
    one = Part(required=False)
    loose = LoosePart(many=True, required=False)


class Strict(StrictSerializer):
    name = serializers.CharField(required=False)
    parts = Part(many=True, required=False)
    one = Part(required=False)


class Right(APIView):
    @extend_schema(request=Strict, responses=None)
    def post(self, request: Request) -> Response:
        return Response(read_body(Strict, request))


class Loose(APIView):
    @extend_schema(request=LoosePart, responses=None)
    def post(self, request: Request) -> Response:
        body = LoosePart(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(status=204)

    @extend_schema(responses=None, parameters=[OpenApiParameter("size", int)])
    def get(self, request: Request) -> Response:
        return Response([])


class LooseWithin(APIView):
    @extend_schema(request=Whole, responses=None)
    def patch(self, request: Request, id: str) -> Response:
        return Response(read_body(Whole, request, partial=True))


class WithoutBody(APIView):
    @extend_schema(request=None, responses=None)
    def delete(self, request: Request) -> Response:
        return Response(status=204)


urlpatterns = [
    path("right", Right.as_view()),
    path("loose", Loose.as_view()),
    path("within/<uuid:id>", LooseWithin.as_view()),
    path("bare", WithoutBody.as_view()),
]
